// Package bus has the functions of the real package that the analyzers know.
package bus

import (
	"context"
	"database/sql"
	"time"
)

type Event interface{ EventType() string }
type Events []Event
type Bus struct{}
type Module struct{}
type Handler[E Event] struct{}
type Case[E Event] struct{}
type Delayed struct{ Event }
type Raw struct{ Event }
type Schedule struct{}
type Unit struct{ Key string }
type Info struct {
	ID   string
	Time time.Time
}
type SQL interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	Exec(query string, args ...any) (sql.Result, error)
}

func Emit(events ...Event) Events                               { return events }
func (e Events) Also(fn func(ctx context.Context) error) Events { return e }
func After(d time.Duration, e Event) Delayed                    { return Delayed{e} }
func At(t time.Time, e Event) Delayed                           { return Delayed{e} }
func (d Delayed) Named(name string) Delayed                     { return d }
func Dead(err error) error                                      { return err }
func Correlate(ctx context.Context, id string) context.Context  { return ctx }
func Tx(ctx context.Context) SQL                                { return nil }
func Now(ctx context.Context) time.Time                         { return time.Time{} }
func NewID(ctx context.Context) string                          { return "" }
func Delivery(ctx context.Context) Info                         { return Info{} }

func Commit(ctx context.Context, fn func(ctx context.Context) error) error { return nil }

func On[E Event](m *Module, name string, fn func(ctx context.Context, e E) (Events, error)) *Handler[E] {
	return nil
}
func OnAll(m *Module, name string, fn func(ctx context.Context, e Raw) (Events, error), types ...string) *Handler[Raw] {
	return nil
}
func OnEach(m *Module, name string, cases ...any) *Handler[Event]            { return nil }
func Of[E Event](fn func(ctx context.Context, e E) (Events, error)) *Case[E] { return nil }
func (h *Handler[E]) Emits(events ...Event) *Handler[E]                      { return h }
func (h *Handler[E]) External(parallel int) *Handler[E]                      { return h }
func (h *Handler[E]) ParkKey() *Handler[E]                                   { return h }

func Do[T any](ctx context.Context, m *Module, u Unit, fn func(ctx context.Context) (T, Events, error)) (T, string, error) {
	panic("")
}
func (m *Module) Do(ctx context.Context, fn func(ctx context.Context) (Events, error)) (string, error) {
	return "", nil
}
func (m *Module) Publish(ctx context.Context, events ...Event) (string, error)  { return "", nil }
func (m *Module) View(ctx context.Context, fn func(tx SQL) error) error         { return nil }
func (b *Bus) View(ctx context.Context, fn func(tx SQL) error) error            { return nil }
func (m *Module) Every(name, spec string, fn func(t time.Time) Event) *Schedule { return nil }
