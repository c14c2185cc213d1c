package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

// TestSplitAndMerge moves a module of a shop with orders out and back in.
func TestSplitAndMerge(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	shop, pay := filepath.Join(folder, "shop.db"), filepath.Join(folder, "payment.db")
	MustReport(t, "demo", "--orders", "60", "--journal", shop, "--json")

	wantOutput(t, MustRunCommand(t, "split", "--check", "--modules", "payment", "--journal", shop), 0, "payment.charged, version 1, from payment to ", "ready: nothing stands in the way")
	dry := MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay, "--dry-run")
	wantOutput(t, dry, 0, "table payment_payments", "nothing was done")
	if _, err := os.Stat(pay); err == nil {
		t.Error("a dry run made a journal")
	}
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay), 0,
		"table payment_payments", "nothing was lost or doubled: ", "rows of modules' tables", "--journal "+pay, "split --undo --journal "+shop)
	went := append(mustRead(t, worldPath(shop)), `{"kind":"charge","key":"later"}`+"\n"...)
	if err := os.WriteFile(worldPath(pay), went, 0o600); err != nil { // the module has made calls since the split
		t.Fatal(err)
	}
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay), 0, "the move took place at ")
	if !bytes.Equal(mustRead(t, worldPath(pay)), went) {
		t.Error("a split that took place before makes the gateway forget what it did since")
	}
	if err := os.WriteFile(worldPath(pay), mustRead(t, worldPath(shop)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, MustRunCommand(t, "verify", "--journal", pay), 0)

	wantOutput(t, MustRunCommand(t, "split", "--list", "--journal", shop), 0, shop+".before-", " bytes", "which an undo needs", "rm '")
	wantOutput(t, MustRunCommand(t, "split", "--undo", "--journal", shop), 0, "the split of payment is undone")
	wantOutput(t, MustRunCommand(t, "split", "--list", "--journal", shop), 0, "no move has left anything beside "+shop)
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay, "--no-backup"), 0)
	wantOutput(t, MustRunCommand(t, "split", "--undo", "--journal", shop), exitWrong, "use the opposite move (merge); 'troupe merge --from "+pay+" --journal "+shop+"' does that")

	refused := MustRunCommand(t, "run", "--journal", shop, "--http", "127.0.0.1:0")
	wantOutput(t, refused, exitWrong, "run it there", "or merge "+pay+" into "+shop+" to bring it back")
	if text := refused.err.Error(); !strings.HasPrefix(text, "payment went to "+pay) {
		t.Errorf("a person has to look for what is wrong in %q", text)
	}

	merged := MustRunCommand(t, "merge", "--from", pay, "--journal", shop, "--json")
	wantOutput(t, merged, 0)
	var p move.Proof
	if err := json.Unmarshal([]byte(merged.stdout), &p); err != nil || len(p.Wrong()) > 0 || len(p.Lines) < 10 {
		t.Errorf("proof: %v, %s", err, merged.stdout)
	}
	wantOutput(t, MustRunCommand(t, "verify", "--journal", shop), 0, "everything adds up")
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--journal", shop, "--into", pay), exitWrong,
		"its modules were merged into "+shop+": name another one, or remove that one")
	wantOutput(t, MustRunCommand(t, "run", "--journal", pay, "--http", "127.0.0.1:0"), exitWrong, "were merged into "+shop)
	MustReport(t, "demo", "--orders", "80", "--journal", shop, "--json")
}

func TestSplitUsage(t *testing.T) {
	t.Parallel()
	shop := filepath.Join(t.TempDir(), "shop.db")
	for _, c := range []struct {
		args string
		says string
	}{
		{"--modules payment", "--into is missing"},
		{"--into x.db", "--modules is missing"},
		{"--undo --into x.db", "--undo takes only"},
		{"--check --into x.db", "--check takes only"},
		{"--check --max-payload 0", "--max-payload 0"},
		{"--check --modules paymint", "there are inventory, notification, order, payment, shipping"},
		{"x", "split takes no arguments\n"},
	} {
		wantOutput(t, MustRunCommand(t, "split", append(strings.Fields(c.args), "--journal", shop)...), exitUsage, c.says)
	}
	wantOutput(t, MustRunCommand(t, "merge", "--journal", shop), exitUsage, "--from is missing")
	wantOutput(t, MustRunCommand(t, "merge", "--undo", "--from", "x.db", "--journal", shop), exitUsage, "--undo takes only")
	wantOutput(t, MustRunCommand(t, "split", "--modules", "payment", "--into", "x.db", "--journal", shop), exitWrong, "there is no journal")
	wantOutput(t, MustRunCommand(t, "split", "--check", "--journal", shop), exitWrong, "there is no journal yet")
}

// TestSplitCheck finds all obstacles.
func TestSplitCheck(t *testing.T) {
	t.Parallel()
	shop := filepath.Join(t.TempDir(), "shop.db")
	MustReport(t, "demo", "--orders", "5", "--journal", shop, "--json")
	db, err := sql.Open("sqlite3", shop)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, query := range []string{
		"UPDATE events SET key = '' WHERE seq = (SELECT min(seq) FROM events WHERE type = 'payment.charged')",
		"UPDATE events SET data = zeroblob(2000000) WHERE seq = (SELECT max(seq) FROM events WHERE type = 'inventory.reserved')",
		"UPDATE events SET source = 'billing' WHERE seq = (SELECT max(seq) FROM events WHERE type = 'payment.charged')",
		"CREATE VIEW order_paid AS SELECT order_id FROM payment_payments",
		`INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
VALUES (9e15, 'late', 'inventory.reserved', 1, '', '', 'f', '', '', 0, x'7b7d')`,
	} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"--modules", "payment"}, nil} {
		got := MustRunCommand(t, "split", append([]string{"--check", "--json", "--journal", shop}, args...)...)
		wantOutput(t, got, exitWrong)
		var r struct {
			Findings []struct {
				What  string
				Error bool
			}
		}
		if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, f := range r.Findings {
			found[f.What] = f.Error
		}
		for what, isError := range map[string]bool{
			"events without a key": false, "payloads too large for a topic": true, "events on the wrong topic": false,
			"delayed events on the wrong topic": true, "tables of two modules tied together": true,
		} {
			if is, ok := found[what]; !ok || is != isError {
				t.Errorf("%v: %s: found %v, an error %v, want %v", args, what, ok, is, isError)
			}
		}
	}
	wantOutput(t, MustRunCommand(t, "split", "--check", "--modules", "payment", "--journal", shop), exitWrong,
		"order_paid is a view that touches payment_payments", "2000000 bytes", "not ready: 3 errors to correct first")
	wantOutput(t, MustRunCommand(t, "split", "--check", "--modules", "notification", "--journal", shop), 0, "ready: ")
}
