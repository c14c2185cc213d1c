package network_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/torture/network"
	"github.com/troupebus/troupe/internal/torture/story"
)

// A network relays, holds, cuts and refuses connections.
func TestNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // echoes lines
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	n, err := network.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", n.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintln(c, l.Addr())
		return c, bufio.NewReader(c)
	}
	says := func(c net.Conn, in *bufio.Reader, text string) bool {
		_, _ = fmt.Fprintln(c, text)
		line, err := in.ReadString('\n')
		return err == nil && strings.TrimSpace(line) == text
	}
	c, in := dial()
	defer func() { _ = c.Close() }()
	if !says(c, in, "one") {
		t.Error("a network that is whole does not carry")
	}
	n.Set(story.Held)
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if says(c, in, "two") {
		t.Error("a network that is held carries")
	}
	_ = c.SetReadDeadline(time.Time{})
	n.Set("")
	if line, err := in.ReadString('\n'); err != nil || line != "two\n" {
		t.Errorf("held bytes come as %q, %v", line, err)
	}
	n.Set(story.Cut)
	if says(c, in, "three") {
		t.Error("a connection that was cut carries")
	}
	again, in := dial()
	defer func() { _ = again.Close() }()
	if !says(again, in, "four") {
		t.Error("after a cut, a new connection is not carried")
	}
	n.Set(story.Refusing)
	last, in := dial()
	defer func() { _ = last.Close() }()
	if says(last, in, "five") {
		t.Error("a network that refuses carries")
	}
}
