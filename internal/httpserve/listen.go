package httpserve

import (
	"net"
	"sync"
	"time"
)

const (
	// spare is how many connections there may be beyond Config.MaxConnections, to hear what they want and to tell them. More wait with the
	// operating system until one of these is done, which is soon.
	spare = 32
	// spareTime is how long a spare connection has for its request, so that idle ones keep nobody out for long.
	spareTime = time.Second
)

// listener counts the connections that it accepts.
type listener struct {
	net.Listener
	most   int
	open   chan struct{} // as full as there are connections
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

// conn is a connection that is counted.
type conn struct {
	net.Conn
	beyond bool      // there were too many when it came
	until  time.Time // it has for its request then
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

// CloseWrite is for http.Server: an answer to what was not read to its end must reach the client before the connection is gone.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
