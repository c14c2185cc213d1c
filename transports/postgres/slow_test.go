package postgres_test

import (
	"net"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestSlowServer: a server whose answers take two fifths of Timeout. Calls take many answers, and end.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	const takes = 400 * time.Millisecond
	url := servers.Postgres(t)
	tr := MustNew(t, postgres.Config{URL: url, Group: "a", Timeout: 5 * takes / 2, Dial: servers.DialSlow(takes)})
	calls := []func() error{
		func() error { return tr.Features().Claim(t.Context(), "order", wiretest.NewMemory("j", 1)) },
		func() error { return tr.Publish("order", message.NewMessage("1", nil)) },
	}
	for began, n := time.Now(), 0; n < len(calls); {
		err := calls[n]()
		if err == nil {
			n++
		} else if time.Since(began) > patience {
			t.Fatalf("with a slow server, call %d never succeeds: %v", n, err)
		}
	}
	in := MustSubscribeSoon(t.Context(), t, tr, "order")
	MustNext(t, in).Ack()
	began := time.Now()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Close took %v", took)
	}
}

// TestSilentServer: a server that accepts a connection and does not answer costs one Timeout.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	tr := MustNew(t, postgres.Config{URL: "postgres://u@" + l.Addr().String() + "/d?sslmode=disable", Group: "a", Timeout: time.Second})
	for name, call := range map[string]func() error{
		"Publish":   func() error { return tr.Publish("order", message.NewMessage("1", nil)) },
		"Subscribe": func() error { _, err := tr.Subscribe(t.Context(), "order"); return err },
	} {
		began := time.Now()
		if err := call(); err == nil || time.Since(began) > 3*time.Second {
			t.Errorf("%s took %v: %v", name, time.Since(began), err)
		}
	}
}
