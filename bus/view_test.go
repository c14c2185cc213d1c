package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
)

// A panic in a View is an error. The View does not wait for rows that the panic has locked, and keeps no snapshot.
func TestPanicInAView(t *testing.T) {
	t.Parallel()
	const one = "SELECT id FROM test_once"
	path := filepath.Join(t.TempDir(), "journal.db")
	a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) { m.Migrations(faultTables).Emits(asked{}).ForOutside(asked{}) })
	for name, view := range map[string]func(tx bus.SQL) error{
		"in the view itself": func(bus.SQL) error { panic("cannot be read") },
		"in Row.Scan":        func(tx bus.SQL) error { return tx.QueryRow(one).Scan(&broken{}) },
		"in Rows.Scan, without Close": func(tx bus.SQL) error {
			rows, err := tx.Query(one)
			if err == nil && rows.Next() {
				err = rows.Scan(&broken{})
			}
			return errors.Join(err, rows.Err())
		},
		"in the rows of a prepared statement": func(tx bus.SQL) error {
			stmt, err := tx.Prepare(one)
			if err != nil {
				return err
			}
			defer func() { _ = stmt.Close() }()
			return stmt.QueryRow().Scan(&broken{})
		},
	} {
		began := time.Now()
		err := a.View(t.Context(), view)
		if err == nil || !strings.Contains(err.Error(), "panic in a view") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: the View took %v", name, took)
		}
	}
	a.publish(t, asked{"a", 1})
	err := a.View(t.Context(), func(tx bus.SQL) error { return tx.QueryRow(one).Scan(new(int)) })
	if err != nil {
		t.Errorf("a View afterwards: %v", err)
	}
	wantNoSnapshot(t, path)
}

// The end of the goroutine in a View, as by testing's FailNow, is that of its caller.
func TestGoexitInAView(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
	ended, returned := make(chan struct{}), false
	go func() {
		defer close(ended)
		_ = a.View(context.Background(), func(bus.SQL) error { runtime.Goexit(); return nil })
		returned = true
	}()
	<-ended
	if returned {
		t.Error("View returned")
	}
}

// wantNoSnapshot fails the test if a connection still reads an old state of the journal at path.
func wantNoSnapshot(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var busy, log, done int
	if err := db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil || busy != 0 {
		t.Errorf("a snapshot stays: busy %d, %v", busy, err)
	}
}
