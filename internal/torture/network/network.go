// Package network is the network between deployables in a torture test: a relay for connections, whose state can change
// at any time.
package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
)

// Network relays the connections of victims to their broker or database. It can cut, hold and refuse connections. A
// victim connects to the network, and sends the address of the server in the first line.
type Network struct {
	listener net.Listener

	mu      sync.Mutex
	state   string
	flows   *sync.Cond // the state changed, or the network closed; uses mu
	closed  bool
	open    map[net.Conn]bool
	carried sync.WaitGroup
}

const dialLimit = 5 * time.Second

// New returns a network in which all bytes pass.
func New() (*Network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &Network{listener: l, open: map[net.Conn]bool{}}
	n.flows = sync.NewCond(&n.mu)
	n.carried.Go(n.accept)
	return n, nil
}

// Address returns the address to which victims connect.
func (n *Network) Address() string { return n.listener.Addr().String() }

// Set changes the state; see story.Cut for the states.
func (n *Network) Set(state string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state
	if state == story.Cut || state == story.Refusing {
		for c := range n.open {
			_ = c.Close() // readers of the connection get an error
		}
	}
	n.flows.Broadcast()
}

// Close ends all connections, and refuses new connections.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.Set(story.Refusing)
	_ = n.listener.Close()
	n.carried.Wait()
}

func (n *Network) accept() {
	for {
		c, err := n.listener.Accept()
		if err != nil {
			return
		}
		if n.keep(c) {
			n.carried.Go(func() { n.carry(c) })
		}
	}
}

// keep registers a connection, or closes it and reports false while the network refuses connections.
func (n *Network) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == story.Refusing || n.closed {
		_ = c.Close()
		return false
	}
	n.open[c] = true
	return true
}

func (n *Network) drop(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
	_ = c.Close()
}

// carry connects c with the address in its first line, until either side ends.
func (n *Network) carry(c net.Conn) {
	defer n.drop(c)
	in := bufio.NewReader(c)
	address, err := in.ReadString('\n')
	if err != nil {
		return
	}
	to, err := net.DialTimeout("tcp", strings.TrimSpace(address), dialLimit)
	if err != nil || !n.keep(to) {
		return
	}
	defer n.drop(to)
	back := make(chan struct{})
	go func() {
		defer close(back)
		n.copy(c, to)
		_ = c.Close()
	}()
	n.copy(to, in)
	_ = to.Close()
	<-back
}

// copy copies bytes while the network is not held.
func (n *Network) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		size, err := from.Read(buf)
		if size > 0 {
			n.await()
			_, failed := to.Write(buf[:size])
			err = errors.Join(err, failed)
		}
		if err != nil {
			return
		}
	}
}

// await returns when the network is not held any more.
func (n *Network) await() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.state == story.Held && !n.closed {
		n.flows.Wait()
	}
}

// FreeAddress returns an address without a listener. Its port is below the ports that operating systems assign, so
// the address stays free while the process that listens there is away.
func FreeAddress() (string, error) {
	const lowest, ports, tries = 20_000, 12_000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(ports))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}
