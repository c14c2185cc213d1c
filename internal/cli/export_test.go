package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// What tests outside of this package need of it: they import the shop's books, which import it.
type (
	Audit    = verification
	Watching = observer
)

const (
	ExitWrong = exitWrong
	ExitUsage = exitUsage
)

var (
	ReadJournal  = readJournal
	ReadJournals = readJournals
	ReadFlows    = readFlows
)

// ObserveInto opens an observer of what w wires on the journal at path.
func ObserveInto(ctx context.Context, w bus.Wiring, path string,
	connect func(group string, logger *slog.Logger) (bus.Transport, error), cfg sqlite.Config,
) (*Watching, error) {
	return openObserver(ctx, observeConfig{wiring: w, journal: path, connect: connect}, cfg)
}

func (ob *observer) Journal() *sqlite.Journal { return ob.journal }
func (ob *observer) Transport() bus.Transport { return ob.transport }
func (ob *observer) Run(ctx context.Context)  { ob.run(ctx) }
func (ob *observer) Close() error             { return ob.close() }

// API is what the command observe serves.
func (ob *observer) API(p Program) http.Handler {
	return observerAPI{o: &options{program: newProgram(p)}, ob: ob, logger: slog.New(slog.DiscardHandler)}.handler()
}

// Wiring is that of all modules of p.
func (p Program) Wiring() bus.Wiring { return newProgram(p).wiring() }

// AuditOne audits a journal that is the whole system.
func (p Program) AuditOne(ctx context.Context, r *sqlite.Reader) (Audit, error) {
	return (&options{program: newProgram(p)}).verify(ctx, r)
}

// AuditObserved audits the journal of an observer.
func (p Program) AuditObserved(ctx context.Context, r *sqlite.Reader, before time.Time) (Audit, error) {
	return (&options{program: newProgram(p)}).verifyObserved(ctx, r, before)
}

// AuditAll audits a system whose journals these are.
func (p Program) AuditAll(ctx context.Context, readers []*sqlite.Reader, before time.Time) (Audit, error) {
	return (&options{program: newProgram(p)}).verifyAll(ctx, readers, before)
}

// Open says why the books are not settled.
func (v *verification) Open() string { return v.open() }

// Text is what the command verify prints of the journal at path.
func (v *verification) Text(p Program, path string) (string, error) {
	var text bytes.Buffer
	err := v.print(&options{program: newProgram(p), stdout: &text}, path)
	return text.String(), err
}
