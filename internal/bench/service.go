package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/troupebus/troupe/internal/bench/work"
)

// service is a worker that runs beside other workers until the service is stopped.
type service struct {
	context.Context        // ends with the service, for work that needs the service
	address         string // the address that the worker announced
	hangUp          net.Conn
	ended           chan struct{}
	err             error // valid after ended
}

// serve starts the worker of j, and returns when the worker has announced its address (Job.Announce). The caller
// stops the service.
func serve(ctx context.Context, start Start, j work.Job) (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: listen for worker %s: %w", j.Worker, err)
	}
	j.Control = l.Addr().String()
	s := &service{ended: make(chan struct{})}
	var cancel context.CancelCauseFunc
	s.Context, cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(s.ended)
		_, s.err = start(ctx, j)
		cancel(errors.Join(fmt.Errorf("bench: worker %s ended too early", j.Worker), s.err))
		_ = l.Close() // may be closed already
	}()
	s.hangUp, err = l.Accept()
	_ = l.Close() // there is only a single caller
	if err == nil {
		s.address, err = bufio.NewReader(s.hangUp).ReadString('\n')
	}
	if err != nil {
		if s.hangUp != nil {
			_ = s.hangUp.Close() // only read
		}
		<-s.ended
		return nil, context.Cause(s.Context)
	}
	s.address = strings.TrimSpace(s.address)
	return s, nil
}

// stop ends the service, and returns its error.
func (s *service) stop() error {
	_ = s.hangUp.Close() // only read
	<-s.ended
	return s.err
}
