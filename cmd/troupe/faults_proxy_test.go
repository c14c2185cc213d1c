package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// weather is how a proxy treats what goes over it.
type weather int

const (
	calm     weather = iota
	cut              // connections are reset, and new ones too
	swallows         // connections stay, and nothing goes over them: neither bytes nor their end
)

// proxy is a network between clients and a broker. What it swallows comes out when it clears up, as a network delivers what
// was sent before a partition, and after its client has long given up.
type proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	target  string
	is      weather
	changed chan struct{} // closed when is does
	over    bool
	conns   map[net.Conn]bool
}

// MustProxy starts a proxy, which ends with the test. It leads nowhere until it is told where.
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

// lead tells the proxy where its broker is, which needs the address of the proxy to start.
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

// reset makes the other side get a reset rather than an end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// pass waits while the proxy swallows, and reports whether things go through now, and where to.
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

// hold notes c, or resets it when it is not to be.
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

// serve carries one connection.
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

// carry takes bytes, and the end of them, from one to the other.
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
			_ = to.(*net.TCPConn).CloseWrite() // the other direction may go on
			return
		}
		if err != nil {
			reset(to)
			return
		}
	}
}
