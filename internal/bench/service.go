package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// service is a worker that runs beside others until it is stopped.
type service struct {
	context.Context        // ends with the service, for who cannot do without it
	address         string // what it said of itself
	hangUp          net.Conn
	ended           chan struct{}
	err             error // when it has ended
}

// serve starts the worker of j, and returns when it has announced itself (Job.announce). Whoever starts a service stops it.
func serve(ctx context.Context, start Start, j Job) (*service, error) {
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
		_ = l.Close() // of a second close
	}()
	s.hangUp, err = l.Accept()
	_ = l.Close() // one caller is all there is
	if err == nil {
		s.address, err = bufio.NewReader(s.hangUp).ReadString('\n')
	}
	if err != nil {
		if s.hangUp != nil {
			_ = s.hangUp.Close() // it was only read
		}
		<-s.ended
		return nil, context.Cause(s.Context)
	}
	s.address = strings.TrimSpace(s.address)
	return s, nil
}

// stop ends the service, and returns what was wrong with it.
func (s *service) stop() error {
	_ = s.hangUp.Close() // it was only read
	<-s.ended
	return s.err
}

// announce says that the service of j is ready, at an address if it has one, and returns when it is to end. It ends with
// whoever started it, however that ends.
func (j Job) announce(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", j.Control)
	if err != nil {
		return fmt.Errorf("reach who started this worker: %w", err)
	}
	defer func() { _ = conn.Close() }() // nobody listens any more
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := fmt.Fprintln(conn, address); err != nil {
		return fmt.Errorf("reach who started this worker: %w", err)
	}
	_, _ = io.Copy(io.Discard, conn) // how the connection ends does not matter
	return ctx.Err()
}
