package httpapi

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

// writeTimeout is how long a client may take to read an answer. Waits and streams take the time that they need instead.
const writeTimeout = 30 * time.Second

// Serve answers requests on l, which it closes, until ctx ends. Then it takes no new ones, ends waits and streams, and
// lets the others finish for up to Config.ShutdownTimeout. The bus must run until Serve has returned. It is called
// once.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	srv := httpserve.New(httpserve.Config{
		Handler: a, Hosts: a.cfg.Hosts, Probes: []string{"/healthz", "/readyz"}, WriteTimeout: writeTimeout, Logger: a.cfg.Logger,
	})
	head, err := a.news.head(context.WithoutCancel(ctx)) // before the first request, so that none misses what comes behind it
	if err != nil {
		return errors.Join(fmt.Errorf("httpapi: read the journal: %w", err), l.Close())
	}
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { a.news.run(reading, head) })
	defer running.Wait()
	defer stopReading()

	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err = <-served:
		err = fmt.Errorf("httpapi: serve: %w", err)
	case <-ctx.Done():
	}
	close(a.stopping)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.ShutdownTimeout)
	defer cancel()
	if late := srv.Shutdown(limit); late != nil {
		a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "requests that took too long to finish are cut off", slog.Duration("after", a.cfg.ShutdownTimeout))
		_ = srv.Close() // what is left are the connections that were just given up
	}
	return err
}

// unhurried lifts the server's limits from a request that takes longer by its nature: until then answers may be written.
func unhurried(w http.ResponseWriter, until time.Time) error {
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Time{}); err != nil { // its passing would end the request's context
		return err
	}
	return c.SetWriteDeadline(until)
}
