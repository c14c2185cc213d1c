package cli

import (
	"context"
	"encoding/json"
	"github.com/troupebus/troupe/internal/cli/console"
	"io"
	"net"
	"strings"
	"testing"
)

// startBroker runs the command until the test, or stop, ends it, and returns where it listens.
func startBroker(t *testing.T, args ...string) (address string, stop func()) {
	t.Helper()
	r, w := io.Pipe()
	o := &console.Options{Program: shop(), Stdin: eof{}, Stdout: w, Stderr: io.Discard}
	cmd := newRootCmd(o)
	cmd.SetArgs(append([]string{"broker", "--json", "--port", "0"}, args...))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		_ = w.CloseWithError(err) // a reader hears of it
		ended <- err
	}()
	var said struct{ Brokers string }
	if err := json.NewDecoder(r).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return said.Brokers, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestTheBrokerListensOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	address, stop := startBroker(t, "--data", t.TempDir())
	defer stop()
	host, _, err := net.SplitHostPort(address)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens on %s: %v", address, err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // it was only to see that somebody is there
}

func TestTwoBrokersDoNotShareAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stop := startBroker(t, "--data", dir)
	defer stop()
	cmd := newRootCmd(&console.Options{Program: shop(), Stdin: eof{}, Stdout: io.Discard, Stderr: io.Discard})
	cmd.SetArgs([]string{"broker", "--data", dir, "--port", "0"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "another broker runs on") {
		t.Errorf("the second one: %v", err)
	}
}
