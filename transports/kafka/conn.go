package kafka

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// errNotKafka means that the other end of a connection does not speak Kafka's protocol.
var errNotKafka = errors.New("not Kafka's protocol")

// maxAnswer bounds the size of an answer. Our requests fit: a fetch returns fetchMost bytes at most, and one more
// batch.
const maxAnswer = 2*fetchMost + 1<<20

// dialer makes the connections of a sarama client, and closes them when ctx ends. Sarama's calls take no context, and
// wait as long as the network lets them. They return at once when their connection is closed.
type dialer struct {
	t       *Transport
	ctx     context.Context
	fetched func(*answer) // receives the answers to fetches; nil for a client that fetches nothing
}

// Dial implements sarama's Net.Proxy.Dialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	if err := d.t.cfg.checkExposed(address); err != nil { // the cluster may name other addresses than the settings
		return nil, exposed{err}
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.t.cfg.patience)
	defer cancel()
	conn, err := d.t.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.t.tls != nil {
		if conn, err = d.encrypt(conn, address); err != nil {
			return nil, err
		}
	}
	return &brokerConn{
		Conn: conn, in: bufio.NewReader(conn), address: address, fetched: d.fetched,
		unlink: context.AfterFunc(d.ctx, func() { _ = conn.Close() }),
	}, nil
}

// exposed is an error of Config.checkExposed, for an address that the cluster named.
type exposed struct{ error }

// encrypt returns conn under TLS. TLS is below sarama, so that brokerConn sees the broker's answers in the clear.
func (d *dialer) encrypt(conn net.Conn, address string) (net.Conn, error) {
	cfg := d.t.tls
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.t.patience())
	defer cancel()
	over := tls.Client(conn, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	return over, nil
}

// brokerConn is a connection that knows where each answer of the broker begins. It refuses an answer of absurd size
// before sarama allocates the memory: "HTTP" is a size of 1.2 GB. It withholds the answers to fetches from sarama,
// which would decompress them whole. Sarama gets an empty answer instead.
type brokerConn struct {
	net.Conn
	address string
	unlink  func() bool
	fetched func(*answer)

	mu    sync.Mutex
	asked []request // not answered yet

	// The reader owns the fields below.
	in   *bufio.Reader
	head []byte // of the current answer, to be read first
	left int    // bytes of the current answer, after head

	broken error // ends all reading
}

// request is the kind of a request.
type request struct{ api, version int16 }

const (
	apiFetch = 1
	tlsAlert = 21 // the type of a TLS record; the version, 3.x, follows
)

// Write implements net.Conn. Sarama writes each request with a single call.
func (c *brokerConn) Write(b []byte) (int, error) {
	if c.fetched != nil && len(b) >= 8 {
		r := request{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))}
		c.mu.Lock()
		c.asked = append(c.asked, r)
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// nextRequest removes the oldest request from asked: a broker answers in the order of the requests.
func (c *brokerConn) nextRequest() (r request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) > 0 {
		r, c.asked = c.asked[0], c.asked[1:]
	}
	return r
}

// Read implements net.Conn.
func (c *brokerConn) Read(b []byte) (int, error) {
	if len(c.head) == 0 && c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.in.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// next begins to read an answer.
func (c *brokerConn) next() error {
	if c.broken != nil {
		return c.broken
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err
	}
	if head[0] == tlsAlert && head[1] == 3 {
		c.broken = fmt.Errorf("%s answers with a TLS alert (%w)", c.address, io.ErrUnexpectedEOF)
		return c.broken
	}
	size := binary.BigEndian.Uint32(head)
	if size < 4 || size > maxAnswer {
		c.broken = fmt.Errorf("%w: %s answers with %q where the length of an answer belongs (%w)", errNotKafka, c.address, head, io.ErrUnexpectedEOF)
		return c.broken // sarama hangs up only because of io.ErrUnexpectedEOF
	}
	r := c.nextRequest()
	if c.fetched == nil || r.api != apiFetch {
		c.head, c.left = head, int(size)
		return nil
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return err
	}
	a, err := parseFetch(body, r.version)
	if err != nil {
		return err
	}
	c.fetched(a)
	c.head = binary.BigEndian.AppendUint32(c.head[:0], uint32(len(a.withoutTopics)))
	c.head = append(c.head, a.withoutTopics...)
	return nil
}

// Close implements net.Conn.
func (c *brokerConn) Close() error {
	c.unlink()
	return c.Conn.Close()
}
