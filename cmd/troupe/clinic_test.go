package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"testing/fstest"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// clinic is a second program: package troupe knows a program only from its App.
type clinic struct {
	settings struct {
		URL     string        `setting:"insurer.url" default:"https://insurer.example" help:"address of the insurer"`
		Key     troupe.Secret `setting:"insurer.key" help:"the insurer's key"`
		Answers bool          `setting:"insurer.answers" default:"true" help:"whether the insurer pays"`
	}
	opened, closed int // calls of open, and of the function that open returned
	asked          string
}

type (
	visited struct {
		Patient string `json:"patient"`
	}
	paid struct {
		Patient string `json:"patient"`
	}
)

func (visited) EventType() string  { return "visits.visited" }
func (e visited) EventKey() string { return e.Patient }
func (paid) EventType() string     { return "bills.paid" }
func (e paid) EventKey() string    { return e.Patient }

// reception has the clinic's entry points.
type reception struct{ visits *bus.Module }

// receive registers a patient.
func (r reception) receive(ctx context.Context, patient string) (flow string, err error) {
	return r.visits.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO visits_patients (name) VALUES (?)", patient)
		return bus.Emit(visited{patient}), err
	})
}

func table(query string) fstest.MapFS { return fstest.MapFS{"0001.sql": {Data: []byte(query)}} }

func (c *clinic) wire(b *bus.Bus) *reception {
	visits := b.Module("visits").Emits(visited{})
	visits.Migrations(table("CREATE TABLE visits_patients (name TEXT PRIMARY KEY, paid INTEGER NOT NULL DEFAULT 0) STRICT;"))
	bus.On(visits, "note", func(ctx context.Context, e paid) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE visits_patients SET paid = 1 WHERE name = ?", e.Patient)
		return nil, err
	})
	bills := b.Module("bills").Migrations(table("CREATE TABLE bills_claims (patient TEXT PRIMARY KEY) STRICT;"))
	bus.On(bills, "claim", func(ctx context.Context, e visited) (bus.Events, error) {
		if !c.settings.Answers {
			return nil, errors.New("the insurer does not answer")
		}
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO bills_claims (patient) VALUES (?)", e.Patient)
		return bus.Emit(paid(e)), err
	}).Emits(paid{})
	return &reception{visits}
}

// verify checks that every patient's visit is paid.
func (*clinic) verify(ctx context.Context, tables func(module string) bus.SQL) (wrong []string, err error) {
	for _, c := range []struct{ module, query string }{
		{"visits", "SELECT name || ' has not paid' FROM visits_patients WHERE NOT paid"},
		{"bills", "SELECT patient || ' was charged for nothing' FROM bills_claims WHERE patient LIKE 'nobody%'"},
	} {
		rows, err := tables(c.module).QueryContext(ctx, c.query)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var what string
			if err := rows.Scan(&what); err != nil {
				return nil, err
			}
			wrong = append(wrong, what)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return wrong, nil
}

func (c *clinic) open(context.Context, *troupe.Deployable) (func() error, error) {
	c.opened, c.asked = c.opened+1, c.settings.URL
	return func() error { c.closed++; return nil }, nil
}

// app returns the clinic as a program.
func (c *clinic) app() troupe.App[*reception] {
	var patients int
	return troupe.App[*reception]{
		Name: "clinic", Short: "A clinic", Long: "{name} runs a clinic.", Example: "  {name} receive ADA",
		Settings: &c.settings, Open: c.open, Wire: c.wire, Verify: c.verify,
		HTTP: func(mux *http.ServeMux, r *reception, d *troupe.Deployable) {
			mux.HandleFunc("POST /visits/{patient}", func(w http.ResponseWriter, req *http.Request) {
				flow, err := r.receive(req.Context(), req.PathValue("patient"))
				if err != nil {
					d.Refuse(w, req, err)
					return
				}
				w.WriteHeader(http.StatusAccepted)
				_, _ = fmt.Fprintf(w, "{%q: %q, %q: %q}", "flow", flow, "at", d.Name)
			})
		},
		Commands: []troupe.Command[*reception]{{
			Name: "receive", Args: "PATIENT...", Short: "Receive patients", Long: "{name} receive has patients come.",
			Flags: func(f *flag.FlagSet) { f.IntVar(&patients, "most", 3, "how many may come at once") },
			Check: func(args []string) error {
				if len(args) == 0 || len(args) > patients {
					return fmt.Errorf("there are %d patients: want 1 to %d", len(args), patients)
				}
				return nil
			},
			Run: func(ctx context.Context, call *troupe.Call[*reception]) error {
				for _, patient := range call.Args {
					if _, err := call.Doors.receive(ctx, patient); err != nil {
						return err
					}
				}
				if err := call.Bus.Quiet(ctx); err != nil {
					return err
				}
				v, err := call.Verify(ctx)
				if err != nil {
					return err
				}
				if call.JSON {
					return call.Print(v)
				}
				_, err = fmt.Fprintf(call.Out, "received %d, right %t, next: %s\n", len(call.Args), v.OK, call.Invocation("verify"))
				return err
			},
		}, {
			Name: "greet", Short: "Say hello", Alone: true,
			Run: func(_ context.Context, call *troupe.Call[*reception]) error {
				if call.Bus != nil || call.Deployable != nil || call.Doors != nil {
					return errors.New("it is not alone")
				}
				_, err := io.WriteString(call.Out, "hello\n")
				return err
			},
		}},
	}
}

// run runs the command line args of the clinic.
func (c *clinic) run(ctx context.Context, args ...string) ranCommand {
	return runApp(ctx, c.app(), args...)
}
