package httpserve

import (
	"net"
	"sync"
	"time"
)

const (
	// spare is the number of connections beyond Config.MaxConnections that are accepted and answered with a refusal.
	// Further connections wait in the operating system until a spare connection is closed, which is soon.
	spare = 32
	// spareTime is how long a spare connection may take for its request, so that idle connections do not block others.
	spareTime = time.Second
)

// listener counts the connections that it accepts.
type listener struct {
	net.Listener
	most   int
	open   chan struct{} // an element for each connection
	closed chan struct{}
	close  func() error
}

func newListener(l net.Listener, most int) *listener {
	n := &listener{Listener: l, most: most, open: make(chan struct{}, most+spare), closed: make(chan struct{})}
	n.close = sync.OnceValue(func() error {
		close(n.closed)
		return l.Close()
	})
	return n
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	leave := sync.OnceFunc(func() { <-l.open })
	c, err := l.Listener.Accept()
	if err != nil {
		leave()
		return nil, err
	}
	return &conn{Conn: c, beyond: len(l.open) > l.most, until: time.Now().Add(spareTime), leave: leave}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error { return l.close() }

// conn is a counted connection.
type conn struct {
	net.Conn
	beyond bool      // beyond Config.MaxConnections
	until  time.Time // end of spareTime
	leave  func()
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.beyond && (t.IsZero() || t.After(c.until)) && time.Now().Before(c.until) {
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite is for http.Server: the answer to a request with an unread rest must reach the client before the
// connection is closed.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
