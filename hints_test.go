package troupe_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe/bus"
)

// The library's errors name no command line: the program adds its own.
func TestErrorsOfTheLibraryGetTheProgramsOwnHints(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	journal, reminders := filepath.Join(folder, "clinic.db"), filepath.Join(folder, "reminders.db")
	a := soundClinic()
	a.Wire = func(b *bus.Bus) Desk {
		d := wire(b)
		d.m.Migrations(fstest.MapFS{"0001_init.sql": {Data: []byte("CREATE TABLE appointments_rooms (room TEXT PRIMARY KEY)")}})
		return d
	}
	run := func(code int, line string, wants ...string) {
		t.Helper()
		got, out := runClinic(t.Context(), a, strings.Fields(strings.NewReplacer("JOURNAL", journal, "OTHER", reminders).Replace(line))...)
		for _, w := range wants {
			if w = strings.NewReplacer("JOURNAL", journal, "OTHER", reminders).Replace(w); !strings.Contains(out, w) {
				t.Errorf("%s: the output does not say %q:\n%s", line, w, out)
			}
		}
		if got != code {
			t.Fatalf("%s: code %d, want %d: %s", line, got, code, out)
		}
	}
	run(0, "book --journal JOURNAL")
	run(1, "run --modules appointments --transport kafka --brokers 127.0.0.1:1 --http 127.0.0.1:0 --journal JOURNAL",
		"or split it off; 'clinic split --modules reminders --into FILE --journal JOURNAL' splits it off\n")
	run(0, "split --modules reminders --into OTHER --no-backup --journal JOURNAL")
	run(1, "split --undo --journal JOURNAL",
		"use the opposite move (merge); 'clinic merge --from OTHER --journal JOURNAL' does that\n")
	run(1, "run --http 127.0.0.1:0 --journal JOURNAL",
		"; --modules names the modules to run here; 'clinic merge --from OTHER --journal JOURNAL' brings it back\n")
	run(1, "run --http 127.0.0.1:0 --journal OTHER",
		"and only the other modules here; --modules names the modules to run here\n")
	run(0, "merge --from OTHER --no-backup --journal JOURNAL")
	run(1, "split --undo --journal JOURNAL", "undo the merge instead; 'clinic merge --undo --journal JOURNAL' does that\n")
	run(1, "merge --undo --journal JOURNAL",
		"use the opposite move (split); 'clinic split --modules reminders --into FILE --journal JOURNAL' does that\n")
	mustExec(t, journal, "CREATE TABLE appointments_beds (letter REFERENCES reminders_letters)")
	run(1, "split --modules reminders --into OTHER-2 --journal JOURNAL",
		"such ties in all); 'clinic split --check --modules reminders --journal JOURNAL' lists them\n")
}

// A start that would leave open work behind, or call the outside for the past, says how to go on.
func TestRefusedStartsGetTheProgramsOwnHints(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "clinic.db")
	a := soundClinic()
	run := func(code int, want string, args ...string) {
		t.Helper()
		if got, out := runClinic(t.Context(), a, append(args, "--journal", journal)...); got != code || !strings.Contains(out, want) {
			t.Fatalf("%q: code %d, and the output does not say %q:\n%s", args, got, want, out)
		}
	}
	run(0, "", "book")
	mustExec(t, journal, "INSERT INTO subscriptions (name, kind, types, start_seq, cursor) SELECT 'reminders/gone', 'bus', types, 0, 0 FROM subscriptions WHERE name LIKE 'reminders/%' LIMIT 1")
	run(1, `in Handler.Was of its new name`, "book")
	run(1, `'clinic retire reminders/gone --reason WHY --journal `+journal+`' gives up its work`, "book")
	run(2, "--reason is missing", "retire", "reminders/gone")
	run(1, "the journal has no subscription", "retire", "reminders/nix", "--reason", "test")
	run(0, "reminders/gone is retired; given up: ", "retire", "reminders/gone", "--reason", "test")
	run(0, "", "book")
}

// mustExec changes a journal with SQL, as no program may.
func mustExec(tb testing.TB, journal, query string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", journal)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(tb.Context(), query); err != nil {
		tb.Fatal(err)
	}
}
