package session

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupebus/troupe/internal/servers"
)

// trips counts the round trips of a connection.
type trips int

func (n *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	*n++
	return ctx
}

func (n *trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (n *trips) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	*n++
	return ctx
}

func (n *trips) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}

func mustConnect(t *testing.T) (*pgx.Conn, *trips) {
	t.Helper()
	config, err := pgx.ParseConfig(servers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	n := new(trips)
	config.Tracer = n
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn, n
}

func wantSetting(t *testing.T, conn *pgx.Conn, name, want string) {
	t.Helper()
	var got string
	if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s is %s, want %s", name, got, want)
	}
}

func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set    func(context.Context, *pgx.Conn, time.Duration) error
		commit string
	}{"publisher": {Publisher, "on"}, "reader": {Reader, "off"}} {
		conn, n := mustConnect(t)
		if err := test.set(t.Context(), conn, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if *n != 1 {
			t.Errorf("the settings of a %s take %d round trips, want 1", name, *n)
		}
		wantSetting(t, conn, "synchronous_commit", test.commit)
		wantSetting(t, conn, "lock_timeout", "5001ms")
		wantSetting(t, conn, "idle_in_transaction_session_timeout", "5001ms")
	}
}

func TestARefusedSettingLeavesTheOthers(t *testing.T) {
	t.Parallel()
	conn, _ := mustConnect(t)
	if err := set(t.Context(), conn, "SELECT set_config('no_such_setting', '1', false)", time.Second); err == nil {
		t.Fatal("no error for an unknown setting")
	}
	wantSetting(t, conn, "lock_timeout", "1001ms")
}
