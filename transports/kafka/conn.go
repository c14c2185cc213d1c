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
	"time"
)

// errNotKafka: the other end of a connection sends what no answer of Kafka's protocol begins with.
var errNotKafka = errors.New("kafka: not Kafka's protocol")

// maxAnswer is how long an answer may be. What is asked for fits: a fetch answers with fetchMost at most, and one batch more.
const maxAnswer = 2*fetchMost + 1<<20

// link makes the connections of one sarama client, all of which end with ctx. Sarama's calls take no context and wait for
// as long as the network lets them; a connection that is closed under them makes them return at once.
type link struct {
	ctx     context.Context
	wait    time.Duration
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config   // nil for none
	fetched func(*answer) // takes the answers to fetches; nil where nothing is fetched
	exposes func(address string) error
}

// Dial implements sarama's Net.Proxy.Dialer.
func (l *link) Dial(network, address string) (net.Conn, error) {
	if err := l.exposes(address); err != nil { // the cluster may name other addresses than the settings
		return nil, exposed{err}
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.wait)
	defer cancel()
	conn, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if l.tls != nil {
		if conn, err = encrypt(ctx, conn, l.tls, address); err != nil {
			return nil, err
		}
	}
	return &linkedConn{
		Conn: conn, in: bufio.NewReader(conn), address: address, fetched: l.fetched,
		unlink: context.AfterFunc(l.ctx, func() { _ = conn.Close() }),
	}, nil
}

// exposed is what Config.exposes says of an address that the cluster named.
type exposed struct{ error }

// encrypt is conn under TLS. It is done here, below sarama, so that linkedConn sees what the broker says.
func encrypt(ctx context.Context, conn net.Conn, cfg *tls.Config, address string) (net.Conn, error) {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	over := tls.Client(conn, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	return over, nil
}

// linkedConn is a connection of sarama's that knows where each answer of the broker begins. It refuses an answer of an absurd
// length before sarama makes room for it: "HTTP" is a length of 1.2 GB. It keeps the answers to fetches for itself, as sarama
// would unpack them whole, whatever they become: sarama gets an empty one instead.
type linkedConn struct {
	net.Conn
	address string
	unlink  func() bool
	fetched func(*answer)

	mu    sync.Mutex
	asked []request // and not answered

	// What follows is the reader's.
	in   *bufio.Reader
	head []byte // of the current answer, to be handed out first
	left int    // of the current answer, behind head

	broken error // nothing is read any more
}

// request is what is known of one that was sent.
type request struct{ api, version int16 }

const (
	apiFetch = 1
	tlsAlert = 21 // the type of a record, which the version, 3 and something, follows
)

// Write implements net.Conn. Sarama writes each request at once.
func (c *linkedConn) Write(b []byte) (int, error) {
	if c.fetched != nil && len(b) >= 8 {
		r := request{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))}
		c.mu.Lock()
		c.asked = append(c.asked, r)
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// answers is the request that the next answer is to. A broker answers in the order of the requests.
func (c *linkedConn) answers() (r request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) > 0 {
		r, c.asked = c.asked[0], c.asked[1:]
	}
	return r
}

// Read implements net.Conn.
func (c *linkedConn) Read(b []byte) (int, error) {
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
func (c *linkedConn) next() error {
	if c.broken != nil {
		return c.broken
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err
	}
	if head[0] == tlsAlert && head[1] == 3 {
		c.broken = fmt.Errorf("%s answers with an alert of TLS (%w)", c.address, io.ErrUnexpectedEOF)
		return c.broken
	}
	size := binary.BigEndian.Uint32(head)
	if size < 4 || size > maxAnswer {
		c.broken = fmt.Errorf("%w: %s answers with %q where the length of an answer belongs (%w)", errNotKafka, c.address, head, io.ErrUnexpectedEOF)
		return c.broken // sarama hangs up for the last of them only
	}
	r := c.answers()
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
	c.head = binary.BigEndian.AppendUint32(c.head[:0], uint32(len(a.instead)))
	c.head = append(c.head, a.instead...)
	return nil
}

// Close implements net.Conn.
func (c *linkedConn) Close() error {
	c.unlink()
	return c.Conn.Close()
}
