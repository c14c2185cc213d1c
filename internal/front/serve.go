package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/httpserve"
)

// WriteTimeout limits the time in which a client reads an answer. Waits and streams set longer limits.
const WriteTimeout = 30 * time.Second

// Serve answers requests on l until ctx ends, and closes l. routes, which may be nil, gets all requests except for
// reserved paths. After ctx has ended, Serve takes no new requests, ends waits and streams, and gives other requests
// Config.ShutdownTimeout to finish. The bus must run until Serve returns. Call Serve once.
func (f *Front) Serve(ctx context.Context, l net.Listener, routes http.Handler) error {
	srv := httpserve.New(httpserve.Config{
		Handler: f.handler(routes), Hosts: f.cfg.Hosts, Probes: []string{"/healthz", "/readyz"}, WriteTimeout: WriteTimeout, Logger: f.cfg.Logger,
	})
	head, err := f.news.head(context.WithoutCancel(ctx)) // before the first request, which must not miss a later event
	if err != nil {
		return errors.Join(fmt.Errorf("read the journal: %w", err), l.Close())
	}
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { f.news.run(reading, head) })
	defer running.Wait()
	defer stopReading()

	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	close(f.stopping)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.ShutdownTimeout)
	defer cancel()
	if late := srv.Shutdown(limit); late != nil {
		f.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "requests that took too long to finish are cut off", slog.Duration("after", f.cfg.ShutdownTimeout))
		_ = srv.Close() // only connections that were just given up are left
	}
	return err
}

// Unhurried replaces the server's time limits for one request: the answer may be written until the given time.
func Unhurried(w http.ResponseWriter, until time.Time) error {
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Time{}); err != nil { // its passing would end the request's context
		return err
	}
	return c.SetWriteDeadline(until)
}
