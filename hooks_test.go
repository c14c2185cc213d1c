package troupe_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// explode panics with a stack that names explode.
func explode() { panic("boom") }

// soundClinic is a clinic in which nothing panics. Its command book books an appointment.
func soundClinic() troupe.App[Desk] {
	return troupe.App[Desk]{Name: "clinic", Wire: wire, Commands: []troupe.Command[Desk]{{
		Name: "book", Run: func(ctx context.Context, c *troupe.Call[Desk]) error {
			return errors.Join(c.Doors.Book(ctx, "a-1", "Ada"), c.Bus.Quiet(ctx))
		},
	}}}
}

// A panic of the program's own code is an error that names the function, has the stack, and loses nothing.
func TestPanicsOfHooks(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "clinic.db")
	if code, out := runClinic(t.Context(), soundClinic(), "book", "--journal", journal); code != 0 {
		t.Fatal(code, out)
	}
	for _, c := range []struct {
		hook, line string
		spoil      func(a *troupe.App[Desk])
	}{
		{"Wire", "events", func(a *troupe.App[Desk]) { a.Wire = func(*bus.Bus) Desk { explode(); return Desk{} } }},
		{"Open", "book", func(a *troupe.App[Desk]) {
			a.Open = func(context.Context, *troupe.Deployable) (func() error, error) { explode(); return nil, nil }
		}},
		{"the close function of Open", "book", func(a *troupe.App[Desk]) {
			a.Open = func(context.Context, *troupe.Deployable) (func() error, error) {
				return func() error { explode(); return nil }, nil
			}
		}},
		{"HTTP", "run --http 127.0.0.1:0", func(a *troupe.App[Desk]) {
			a.HTTP = func(*http.ServeMux, Desk, *troupe.Deployable) { explode() }
		}},
		{"Verify", "verify", func(a *troupe.App[Desk]) {
			a.Verify = func(context.Context, func(string) bus.SQL) ([]string, error) { explode(); return nil, nil }
		}},
		{"Books.Tables", "verify", func(a *troupe.App[Desk]) {
			a.Books.Tables = func(context.Context, func(string) bus.SQL, bool) (r troupe.Report, err error) { explode(); return }
		}},
		{"Books.Pages", "verify", func(a *troupe.App[Desk]) {
			a.Books.Pages = func(_ context.Context, look func(func(bus.SQL, bool) error) error, _ func(int, int)) (troupe.Report, bool, error) {
				return troupe.Report{}, true, look(func(bus.SQL, bool) error { explode(); return nil })
			}
		}},
		{"Run of command book", "book", func(a *troupe.App[Desk]) {
			a.Commands[0].Run = func(context.Context, *troupe.Call[Desk]) error { explode(); return nil }
		}},
		{"Check of command book", "book", func(a *troupe.App[Desk]) {
			a.Commands[0].Check = func([]string) error { explode(); return nil }
		}},
		{"Bus of command book", "book", func(a *troupe.App[Desk]) { a.Commands[0].Bus = func(*bus.Config) { explode() } }},
		{"Flags of command book", "events", func(a *troupe.App[Desk]) { a.Commands[0].Flags = func(*flag.FlagSet) { explode() } }},
	} {
		spoiled := soundClinic()
		c.spoil(&spoiled)
		code, out := runClinic(t.Context(), spoiled, append(strings.Fields(c.line), "--journal", journal)...)
		if code != 1 || !strings.Contains(out, "app clinic: "+c.hook+" panicked: boom\n\n") || !strings.Contains(out, "troupe_test.explode") {
			t.Errorf("%s: code %d: %s", c.hook, code, out)
		}
		_, stack, _ := strings.Cut(out, "\n\n")
		if first, _, _ := strings.Cut(stack, "\n"); !strings.Contains(first, "explode") {
			t.Errorf("%s: the stack begins with %q", c.hook, first)
		}
		if code, out := runClinic(t.Context(), soundClinic(), "book", "--journal", journal); code != 0 { // it is free
			t.Errorf("book after a panic of %s: code %d: %s", c.hook, code, out)
		}
	}
	if code, out := runClinic(t.Context(), soundClinic(), "verify", "--journal", journal); code != 0 {
		t.Errorf("verify at the end: code %d: %s", code, out)
	}
}
