package httpserve

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// How many connections there may be beyond Config.MaxConnections: spare ones are read, to find out whether they are probes; others
// are told and closed.
const (
	spare   = 32
	turning = 32 // that are being told at once
)

// counter counts connections.
type counter struct {
	most int

	mu   sync.Mutex
	n    int
	told int // connections that are being turned away
}

// enter counts one more, unless there is no room. beyond says that it is a spare one.
func (c *counter) enter() (beyond, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n >= c.most+spare {
		return false, false
	}
	c.n++
	return c.n > c.most, true
}

func (c *counter) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
}

// tell reports whether one more may be told, which ends with told.
func (c *counter) tell() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told >= turning {
		return false
	}
	c.told++
	return true
}

func (c *counter) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told--
}

// listener counts the connections that it accepts.
type listener struct {
	net.Listener
	open *counter
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		beyond, ok := l.open.enter()
		if ok {
			return &conn{Conn: c, beyond: beyond, leave: sync.OnceFunc(l.open.leave)}, nil
		}
		if !l.open.tell() {
			_ = c.Close() // nobody is there to hear of it
			continue
		}
		go func() {
			defer l.open.done()
			turnAway(c)
		}()
	}
}

// turnAway tells a client that there is no room for it. What the client has sent is read, so that the answer is not cut off.
func turnAway(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	const body = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many clients are connected: try again"}` + "\n"
	_, err := fmt.Fprintf(c, "HTTP/1.1 503 %s\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		http.StatusText(http.StatusServiceUnavailable), len(body), body)
	if half, ok := c.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		_, _ = c.Read(make([]byte, 4<<10))
	}
}

// conn is a connection that is counted.
type conn struct {
	net.Conn
	beyond bool // there were too many when it came
	leave  func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// CloseWrite is for http.Server: an answer to what was not read to its end must reach the client before the connection is gone.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
