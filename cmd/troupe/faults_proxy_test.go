package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// weather is the state of a proxy.
type weather int

const (
	calm     weather = iota
	cut              // resets connections, also new ones
	swallows         // keeps connections, and passes neither bytes nor their end
)

// proxy is a network between clients and a broker. Swallowed bytes arrive when the weather is good again, like
// packets from before a partition, and long after their client has given up.
type proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	target  string
	is      weather
	changed chan struct{} // closed when the state changes
	over    bool
	conns   map[net.Conn]bool
}

// MustProxy starts a proxy, which ends with the test. It has no broker until lead.
func MustProxy(tb testing.TB) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{listener: l, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.turn(cut)
		p.running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// lead sets the address of the broker, which needs the address of the proxy to start.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = to
}

// turn changes the weather.
func (p *proxy) turn(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.is = w
	close(p.changed)
	p.changed = make(chan struct{})
	if w == cut {
		for c := range p.conns {
			reset(c)
		}
	}
}

// reset makes the other side get a reset instead of an end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// pass waits while the proxy swallows. It returns the broker's address, and whether bytes pass.
func (p *proxy) pass() (target string, ok bool) {
	for {
		p.mu.Lock()
		is, changed, target := p.is, p.changed, p.target
		p.mu.Unlock()
		if is != swallows {
			return target, is == calm
		}
		<-changed
	}
}

// hold registers c, or resets it if connections must not exist now.
func (p *proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.is == cut {
		reset(c)
		return false
	}
	p.conns[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	reset(c)
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.hold(c) {
			p.running.Go(func() { p.serve(c) })
		}
	}
}

// serve relays a connection.
func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	target, ok := p.pass()
	if !ok {
		return
	}
	broker, err := net.Dial("tcp", target)
	if err != nil || !p.hold(broker) {
		return
	}
	defer p.drop(broker)
	var both sync.WaitGroup
	both.Go(func() { p.carry(broker, client) })
	both.Go(func() { p.carry(client, broker) })
	both.Wait()
}

// carry copies bytes, and their end, from one connection to the other.
func (p *proxy) carry(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if _, ok := p.pass(); !ok {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			_ = to.(*net.TCPConn).CloseWrite() // the other direction may continue
			return
		}
		if err != nil {
			reset(to)
			return
		}
	}
}
