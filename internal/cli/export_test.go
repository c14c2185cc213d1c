package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

// What tests outside of this package need of it: they import the shop's books, which import it.
type (
	Audit    = audit.Result
	Watching = audit.Observer
)

const (
	ExitWrong = console.ExitWrong
	ExitUsage = console.ExitUsage
)

var (
	ReadJournal  = console.ReadJournal
	ReadJournals = audit.ReadJournals
	ReadFlows    = console.ReadFlows
)

// ObserveInto opens an observer of what w wires on the journal at path.
func ObserveInto(ctx context.Context, w bus.Wiring, path string,
	connect func(group string, logger *slog.Logger) (bus.Transport, error), cfg sqlite.Config,
) (*Watching, error) {
	return audit.OpenObserver(ctx, audit.ObserveConfig{Wiring: w, Journal: path, Connect: connect}, cfg)
}

// API is what the command observe serves.
func API(ob *audit.Observer, p console.Program) http.Handler {
	return audit.ObserverAPI{O: &console.Options{Program: console.NewWired(p)}, Ob: ob, Logger: slog.New(slog.DiscardHandler)}.Handler()
}

// Wiring is that of all modules of p.
func Wiring(p console.Program) bus.Wiring { return console.NewWired(p).Wiring() }

// AuditOne audits a journal that is the whole system.
func AuditOne(ctx context.Context, p console.Program, r *sqlite.Reader) (Audit, error) {
	return audit.Verify(ctx, (&console.Options{Program: console.NewWired(p)}), r)
}

// AuditObserved audits the journal of an observer.
func AuditObserved(ctx context.Context, p console.Program, r *sqlite.Reader, before time.Time) (Audit, error) {
	return audit.VerifyObserved(ctx, (&console.Options{Program: console.NewWired(p)}), r, before)
}

// AuditAll audits a system whose journals these are.
func AuditAll(ctx context.Context, p console.Program, readers []*sqlite.Reader, before time.Time) (Audit, error) {
	return audit.VerifyAll(ctx, (&console.Options{Program: console.NewWired(p)}), readers, before)
}

// Open says why the books are not settled.
func Open(v *audit.Result) string { return v.Open() }

// Text is what the command verify prints of the journal at path.
func Text(v *audit.Result, p console.Program, path string) (string, error) {
	var text bytes.Buffer
	err := v.Print(&console.Options{Program: console.NewWired(p), Stdout: &text}, path)
	return text.String(), err
}
