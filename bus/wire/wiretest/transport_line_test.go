package wiretest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// MustEcho starts a server that says everything again, and counts it. It returns its address.
func MustEcho(tb testing.TB, heard *atomic.Int64) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for b := make([]byte, 1); ; { // until the line is cut
					if _, err := io.ReadFull(conn, b); err != nil {
						return
					}
					heard.Add(1)
					if _, err := conn.Write(b); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// echo says a byte, and expects it again within a limit.
func echo(conn net.Conn, limit time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestLine(t *testing.T) {
	t.Parallel()
	var heard atomic.Int64
	addr := MustEcho(t, &heard)
	l := &line{}
	dial := func() (net.Conn, error) { return l.dial(t.Context(), "tcp", addr) }
	connected := func() net.Conn {
		t.Helper()
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := echo(conn, time.Minute); err != nil {
			t.Fatal(err)
		}
		return conn
	}

	conn, closed := connected(), connected()
	if err := closed.Close(); err != nil || len(l.conns) != 1 {
		t.Errorf("closing one of two connections: %v, and %d are left", err, len(l.conns))
	}
	l.to(refused)
	if err := echo(conn, time.Minute); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that was cut says %v", err)
	}
	if _, err := dial(); !errors.Is(err, errCut) {
		t.Errorf("dialing what refuses: %v", err)
	}

	l.to(whole)
	conn = connected()
	if _, err := conn.Write([]byte("x")); err != nil { // what is said before is not heard either
		t.Fatal(err)
	}
	l.to(silent)
	before := heard.Load()
	if err := echo(conn, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that is silent says %v, want that the deadline has passed", err)
	}
	if n := heard.Load() - before; n > 1 {
		t.Errorf("the server heard %d bytes from behind a silent line, and one was said before", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.dial(ctx, "tcp", addr); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialing what is silent: %v", err)
	}
	l.to(whole)
	if err := echo(conn, time.Minute); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that was silent says %v after the line is mended: want that it is broken", err)
	}
	connected()
}
