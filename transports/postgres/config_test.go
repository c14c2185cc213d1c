package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/transports/postgres"
)

const secret = "s3cr3t-word"

func TestValidate(t *testing.T) {
	t.Parallel()
	good := postgres.Config{URL: "postgres://me@localhost/db", Group: "shop", Prefix: "a.b_c-1", Retention: -1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := postgres.Config{URL: "postgres://me@localhost:port/db", Prefix: `"; DROP`, Retention: -2, Timeout: -1, Poll: -1}
	err := bad.Validate()
	for _, field := range []string{"URL", "Group", "Prefix", "Retention", "Timeout", "Poll"} {
		if err == nil || !strings.Contains(err.Error(), "field "+field+" ") {
			t.Errorf("nothing is said about %s: %v", field, err)
		}
	}
	for _, group := range []string{strings.Repeat("g", 256), "a\x00b", "\xff"} {
		if (postgres.Config{URL: good.URL, Group: group}).Validate() == nil {
			t.Errorf("group %q passes", group)
		}
	}
	if _, err := postgres.New(postgres.Config{}); err == nil {
		t.Error("New takes an empty config")
	}
}

// TestUnverified refuses connections to other machines that anybody could answer.
func TestUnverified(t *testing.T) {
	t.Parallel()
	for url, safe := range map[string]bool{
		"postgres://me@localhost/db": true, "postgres://me@127.0.0.2/db": true, "postgres://me@[::1]/db": true, "host=/var/run/postgresql user=me": true,
		"postgres://me@db/db?host=/tmp": true,
		"postgres://me@db/db":           false, "postgres://me@db/db?sslmode=disable": false, "postgres://me@db/db?sslmode=prefer": false,
		"postgres://me@10.0.0.1/db?sslmode=require": false, "postgres://me@db/db?sslmode=verify-full": true, "postgres://me@db/db?sslmode=verify-ca": true,
		"postgres://me@localhost,db/db": false, "postgres://me@db,localhost/db?sslmode=disable": false, "host=db user=me sslmode=require": false,
		"postgres://me@a,b/db?sslmode=verify-full": true, "postgres://me@localhost.example.com/db": false,
	} {
		config := postgres.Config{URL: url, Group: "shop"}
		err := config.Validate()
		if (err == nil) != safe {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "sslmode=verify-full") || !strings.Contains(err.Error(), "Insecure")) {
			t.Errorf("%s: the error does not say what to do: %v", url, err)
		}
		if config.Insecure = true; config.Validate() != nil {
			t.Errorf("%s with Insecure: %v", url, config.Validate())
		}
	}
}

// TestPasswordIsHidden looks for the password wherever a config or an error may be printed.
func TestPasswordIsHidden(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://me:" + secret + "@localhost:port/db",
		"postgres://me:" + secret + "@localhost/db?sslmode=never",
		"postgres://me:" + secret + "/x%zz@localhost/db",
		"host=localhost password=" + secret + " port=x",
		"host=localhost password='" + secret,
		"postgres://me@localhost/db?password=" + secret + "&port=x",
		secret,
	} {
		config := postgres.Config{URL: url, Group: "shop"}
		err := config.Validate()
		if err == nil {
			t.Errorf("%s passes", url)
		}
		hides(t, fmt.Sprintf("%v %+v %v", err, config, config))
	}

	var log bytes.Buffer
	config := postgres.Config{URL: "postgres://me:" + secret + "@127.0.0.1:1/db", Group: "shop", Timeout: time.Millisecond}
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))} {
		logger.Info("config", slog.Any("config", config))
	}
	if !strings.Contains(log.String(), "127.0.0.1:1/db group shop") {
		t.Errorf("a logged config does not say where it leads: %s", log.String())
	}
	tr := MustNew(t, config)
	_, err := tr.Subscribe(t.Context(), "order")
	hides(t, log.String()+fmt.Sprint(err, tr.Publish("order", message.NewMessage("1", nil))))
}

func hides(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, secret) {
		t.Errorf("the password shows: %s", text)
	}
}

// TestServerAway publishes and subscribes where nobody is. Everything says so in time, and leaves nothing behind.
func TestServerAway(t *testing.T) { // not parallel: it counts goroutines
	tr := MustNew(t, postgres.Config{URL: "postgres://me@" + deadAddress(t) + "/db", Group: "shop", Timeout: 300 * time.Millisecond})
	began := time.Now()
	err := tr.Publish("order", message.NewMessage("1", nil))
	if took := time.Since(began); err == nil || took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("Publish took %v and said %v, want an error after 300 ms", took, err)
	}
	if !strings.Contains(fmt.Sprint(err), "check that PostgreSQL runs at") || !strings.Contains(fmt.Sprint(err), "refused") {
		t.Errorf("the error says neither what is wrong nor what to do: %v", err)
	}
	leak := goroutines(t)
	for range 100 {
		if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "check that PostgreSQL runs at") {
			t.Fatalf("Subscribe says %v", err)
		}
	}
	leak.none(0)
	MustClose(t, tr)
	if err := tr.Publish("order", message.NewMessage("1", nil)); err != postgres.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if _, err := tr.Subscribe(context.Background(), "order"); err != postgres.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// deadAddress is one where nobody listens.
func deadAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer MustClose(tb, l)
	return l.Addr().String()
}

func TestTopicsNames(t *testing.T) {
	t.Parallel()
	tr := MustNew(t, postgres.Config{URL: "postgres://me@127.0.0.1:1/db"})
	for _, topic := range []string{"", `order"; DROP TABLE x; --`, "größe", "a b"} {
		if err := tr.Publish(topic, message.NewMessage("1", nil)); err == nil || !strings.Contains(err.Error(), "want letters") {
			t.Errorf("topic %q: %v", topic, err)
		}
	}
}
