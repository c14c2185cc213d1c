package wiretest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// state is the effect of a network on a process's connections.
type state int

const (
	whole   state = iota
	refused       // connections are reset, new connections are refused
	silent        // data is lost without an error
)

var errCut = errors.New("wiretest: the network is cut")

// silentDial is the time until a connection attempt fails in a silent network, if the caller sets no limit.
const silentDial = 5 * time.Second

// line is the network between a process and its server.
type line struct {
	mu    sync.Mutex
	state state
	conns map[*lineConn]bool
}

func (l *line) broken() bool { return l.now() != whole }

func (l *line) now() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// to changes the state. Existing connections break, unless the line becomes silent.
func (l *line) to(now state) {
	l.mu.Lock()
	l.state = now
	var lost []*lineConn
	if now != silent {
		for c := range l.conns {
			lost = append(lost, c)
		}
		l.conns = nil
	}
	l.mu.Unlock()
	for _, c := range lost {
		c.reset()
	}
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch l.now() {
	case refused:
		return nil, &net.OpError{Op: "dial", Net: network, Err: errCut}
	case silent:
		ctx, cancel := context.WithTimeout(ctx, silentDial)
		defer cancel()
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &lineConn{Conn: conn, line: l}
	l.mu.Lock()
	ok := l.state == whole
	if ok {
		if l.conns == nil {
			l.conns = map[*lineConn]bool{}
		}
		l.conns[c] = true
	}
	l.mu.Unlock()
	if !ok {
		return nil, errors.Join(&net.OpError{Op: "dial", Net: network, Err: errCut}, conn.Close())
	}
	return c, nil
}

// lineConn is a connection over a line.
type lineConn struct {
	net.Conn
	line *line
}

// Read drops data while the line is silent. The caller waits until its deadline, or until the line is whole.
func (c *lineConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || c.line.now() != silent {
			return n, err
		}
	}
}

// Write reports success while the line is silent, like a kernel.
func (c *lineConn) Write(b []byte) (int, error) {
	if c.line.now() == silent {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close closes the connection, and removes the connection from the line.
func (c *lineConn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

// reset breaks the connection without a graceful end.
func (c *lineConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // on an error, the end is graceful
	}
	_ = c.Conn.Close() // the connection must break anyway
}
