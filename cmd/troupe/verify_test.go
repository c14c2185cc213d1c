package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"
)

// MustChange runs SQL on the file, not through the journal.
func MustChange(tb testing.TB, path, query string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	res, err := db.ExecContext(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		tb.Fatalf("%s changed nothing: %v", query, err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	MustReport(t, "demo", "--orders", "30", "--journal", path)
	verify := func(args ...string) ranCommand {
		return MustRunCommand(t, "verify", append(args, "--journal", path)...)
	}
	wantOutput(t, verify(), 0, "books    30 orders: ", "0 open", "charged ", "journal  ", "everything adds up")
	v := mustUnmarshal[verification](t, verify("--json"))
	if !v.OK || !v.Settled || len(v.Wrong) != 0 || v.Books.Orders != 30 || v.Stats.Events == 0 || len(v.Stats.Subscriptions) == 0 {
		t.Errorf("as JSON: %+v", v)
	}

	MustChange(t, path, "DELETE FROM deliveries WHERE seq = (SELECT max(seq) FROM deliveries)")
	MustChange(t, path, "UPDATE payment_payments SET charged = charged + 100 WHERE order_id = (SELECT min(order_id) FROM payment_payments WHERE status = 'charged')")
	wantOutput(t, verify(), exitWrong, "wrong    order ", "wrong    journal: event ", "without a record", " wrong\n")
	v = mustUnmarshal[verification](t, verify("--json"))
	if v.OK || len(v.Wrong) < 2 {
		t.Errorf("as JSON: %+v", v)
	}
}

func TestVerifyWhatIsOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	MustReport(t, "demo", "--orders", "10", "--journal", path)
	MustChange(t, path, `INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
		VALUES (1 << 52, 'd', 'test.later', 1, '', '', 'f', '', '', 0, x'')`)
	wantOutput(t, MustRunCommand(t, "verify", "--journal", path), 0, "open     1 delayed", "everything adds up")
}

// TestVerifyAHalf reports the work in flight of a journal with some of the modules, whose books cannot be checked.
func TestVerifyAHalf(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	shop, pay := filepath.Join(folder, "shop.db"), filepath.Join(folder, "payment.db")
	MustReport(t, "demo", "--orders", "5", "--journal", shop, "--json")
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay), 0)
	if out := MustRunCommand(t, "verify", "--journal", pay); strings.Contains(out.stdout, "open  ") {
		t.Errorf("nothing is open: %s", out.stdout)
	}
	MustChange(t, pay, `INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
VALUES (9000000000000000, 'late', 'payment.charged', 1, 'payment', 'o', 'o', '', '', 0, x'7b7d')`)
	wantOutput(t, MustRunCommand(t, "verify", "--journal", pay), 0, "books    not checked", "open     1 delayed", "the journal adds up; the books were not checked")
}
