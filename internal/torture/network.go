package torture

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
)

// network relays the connections of victims to their broker or database. It can cut, hold and refuse connections. A
// victim connects to the network, and sends the address of the server in the first line.
type network struct {
	listener net.Listener

	mu      sync.Mutex
	state   string
	flows   *sync.Cond // the state changed, or the network closed; uses mu
	closed  bool
	open    map[net.Conn]bool
	carried sync.WaitGroup
}

const dialLimit = 5 * time.Second

func newNetwork() (*network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &network{listener: l, open: map[net.Conn]bool{}}
	n.flows = sync.NewCond(&n.mu)
	n.carried.Go(n.accept)
	return n, nil
}

func (n *network) address() string { return n.listener.Addr().String() }

// set changes the state; see story.Cut for the states.
func (n *network) set(state string) {
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

func (n *network) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.set(story.Refusing)
	_ = n.listener.Close()
	n.carried.Wait()
}

func (n *network) accept() {
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
func (n *network) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == story.Refusing || n.closed {
		_ = c.Close()
		return false
	}
	n.open[c] = true
	return true
}

func (n *network) drop(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
	_ = c.Close()
}

// carry connects c with the address in its first line, until either side ends.
func (n *network) carry(c net.Conn) {
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
func (n *network) copy(to io.Writer, from io.Reader) {
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
func (n *network) await() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.state == story.Held && !n.closed {
		n.flows.Wait()
	}
}
