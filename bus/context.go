package bus

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/wire"
)

// Info describes the delivery that a handler works on.
type Info struct {
	ID            string // the same for every attempt, also after restarts: the idempotency key for external calls
	Subscription  string
	Attempt       int // counted from 1
	EventID       string
	CorrelationID string // the id of the flow
	CausationID   string // the id of the event that led to this event; "" for the first event of a flow
	Time          time.Time

	metadata map[string]string
}

// Metadata returns the value that With gave the flow of the event, or "".
func (i Info) Metadata(name string) string { return i.metadata[wire.Extension(name)] }

type correlationKey struct{}

type metadataKey struct{}

// metadata are the metadata of a context.
type metadata struct {
	values map[string]string
	err    error // of the first call of With that failed
}

// SQL is a transaction of the bus. The bus alone commits and rolls back. The interfaces of sqlc (DBTX), ent
// (ExecQuerier) and bun (IConn) fit. The value is a *sql.Tx: for a library that insists on the type, write
// Tx(ctx).(*sql.Tx), and let the library neither commit nor roll back.
type SQL interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) // changes rows
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) // reads rows
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row        // reads a row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)            // valid until the work returns
	Exec(query string, args ...any) (sql.Result, error)                             // without a context
	Query(query string, args ...any) (*sql.Rows, error)                             // without a context
	QueryRow(query string, args ...any) *sql.Row                                    // without a context
	Prepare(query string) (*sql.Stmt, error)                                        // without a context
}

// Tx returns the transaction of the running handler or unit of work. ctx must be the context that the handler or unit
// of work was given. The bus commits the transaction when the work returns no error. After the end of the work every
// use of the transaction fails, also in goroutines that the work started. Tx panics when ctx has no transaction:
// outside of work, and in an external handler, except in Events.Also and Commit.
//
// The context of work with a transaction is never cancelled; keep transactions short. After the Timeout of a handler,
// or Config.UnitTimeout in other work, the journal rolls the transaction back.
func Tx(ctx context.Context) SQL {
	s := react.ScopeOf(ctx)
	if s == nil || s.Tx == nil {
		panic("bus: Tx without a transaction: write in Events.Also or Commit in an external handler, and in Module.Do outside of handlers")
	}
	return s.Tx()
}

// Commit runs fn in a transaction of its own, and returns after the commit is on disk. Call Commit in an external
// handler for state that the module must save before a call to the outside, such as "the call has started". After a
// crash the handler, and so fn, may run again. fn emits no events: return events from the handler.
//
// Commit returns a journal.ErrAbandoned when the handler has returned, has exceeded its Timeout, or when a person has
// meanwhile dropped the delivery: another answer may be on record by then. In a transactional handler Commit returns
// an ErrNested. Outside of handlers Commit panics: use Module.Do.
func Commit(ctx context.Context, fn func(ctx context.Context) error) error {
	s := react.ScopeOf(ctx)
	if s == nil || s.Delivery == nil {
		panic("bus: Commit outside of an external handler: use Module.Do")
	}
	if s.Tx != nil {
		return fmt.Errorf("%w: the handler has a transaction already: write through Tx", ErrNested)
	}
	return s.Commit(ctx, fn)
}

// Delivery returns the delivery that ctx belongs to, or the zero Info outside of handlers.
func Delivery(ctx context.Context) Info {
	s := react.ScopeOf(ctx)
	if s == nil || s.Delivery == nil {
		return Info{}
	}
	d := s.Delivery
	return Info{
		ID: d.ID(), Subscription: d.Subscription, Attempt: d.Attempt, EventID: d.Event.ID,
		CorrelationID: d.Event.CorrelationID, CausationID: d.Event.CausationID, Time: d.Event.Time.Add(-d.Ahead),
		metadata: d.Event.Metadata,
	}
}

// Correlate returns a context in which Module.Do and Module.Publish add events to the flow called id, such as the
// number of an order. Without Correlate, each call of Do or Publish starts a new flow.
func Correlate(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

// With returns a context in which the events of Do and Publish have a value under name, such as the tenant, the user,
// the locale or the traceparent of a request. Reactions pass the metadata on to the events that they emit: all events
// of the flow have the metadata, in every process. Handlers read Delivery(ctx).Metadata(name).
//
// A name has 1 to 20 lower case letters and digits, and is a CloudEvents extension attribute on the wire. A value is
// text without control characters; "" removes the name. All names and values may have 4 KiB together. Do and Publish
// return an ErrBadID for another name or value, and an ErrTooLarge for more.
func With(ctx context.Context, name, value string) context.Context {
	m, _ := ctx.Value(metadataKey{}).(metadata)
	if m.err == nil {
		m.values, m.err = wire.WithMetadata(m.values, name, value)
	}
	return context.WithValue(ctx, metadataKey{}, m)
}
