package troupe_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// Booked is an event of the module appointments.
type Booked struct {
	Appointment string `json:"appointment"`
	Patient     string `json:"patient"`
}

func (Booked) EventType() string  { return "appointments.booked" }
func (b Booked) EventKey() string { return b.Appointment }

// Desk is the door of the module appointments.
type Desk struct{ m *bus.Module }

// Book books an appointment.
func (d Desk) Book(ctx context.Context, appointment, patient string) error {
	_, err := d.m.Publish(ctx, Booked{appointment, patient})
	return err
}

// wire puts two modules on b: appointments, and reminders, which writes a row for every booking.
func wire(b *bus.Bus) Desk {
	appointments, reminders := b.Module("appointments"), b.Module("reminders")
	appointments.Emits(Booked{})
	reminders.Migrations(fstest.MapFS{"0001_init.sql": {Data: []byte("CREATE TABLE reminders_letters (appointment TEXT PRIMARY KEY, patient TEXT)")}})
	bus.On(reminders, "write", func(ctx context.Context, e Booked) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO reminders_letters VALUES (?, ?)", e.Appointment, e.Patient)
		return nil, err
	})
	return Desk{appointments}
}

// A whole program: two modules, a route, a rule for its books, and a command of its own. Its main function is
//
//	func main() { troupe.Main(clinic) }
func Example() {
	clinic := troupe.App[Desk]{
		Name: "clinic",
		Wire: wire,
		HTTP: func(mux *http.ServeMux, desk Desk, d *troupe.Deployable) {
			mux.HandleFunc("PUT /appointments/{id}", func(w http.ResponseWriter, r *http.Request) {
				if err := desk.Book(r.Context(), r.PathValue("id"), r.FormValue("patient")); err != nil {
					d.Refuse(w, r, err)
				}
			})
		},
		Verify: func(ctx context.Context, tables func(module string) bus.SQL) (wrong []string, err error) {
			var nameless int
			err = tables("reminders").QueryRowContext(ctx, "SELECT count(*) FROM reminders_letters WHERE patient = ''").Scan(&nameless)
			if nameless > 0 {
				wrong = append(wrong, fmt.Sprintf("%d letters are to nobody", nameless))
			}
			return wrong, err
		},
		Commands: []troupe.Command[Desk]{{
			Name: "book", Args: "ID PATIENT", Short: "Book an appointment",
			Run: func(ctx context.Context, c *troupe.Call[Desk]) error {
				if err := c.Doors.Book(ctx, c.Args[0], c.Args[1]); err != nil {
					return err
				}
				return c.Bus.Quiet(ctx)
			},
		}},
	}

	folder, err := os.MkdirTemp("", "clinic")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	journal := filepath.Join(folder, "clinic.db")
	for _, line := range []string{"book a-1 Ada", "events", "verify"} {
		var out bytes.Buffer
		args := append(strings.Fields(line), "--journal", journal)
		if code := troupe.Run(context.Background(), clinic, args, &out, os.Stdout); code != 0 {
			fmt.Println("exit code", code)
		}
		if line == "verify" {
			fmt.Print(out.String())
		}
	}
	// Output:
	// books    right
	// journal  1 event, 1 delivery, 0 retries
	// everything adds up
}
