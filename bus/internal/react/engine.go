// Package react runs reactions: from the message of the Router, by an attempt of the handler, to the record of the
// outcome in the journal.
package react

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/internal/nest"
	"github.com/troupebus/troupe/bus/journal"
)

// Engine is the part that the subscriptions of a bus have in common.
type Engine struct {
	Journal     journal.Journal
	Logger      *slog.Logger
	Chance      func() float64           // for the jitter of retries
	UnitTimeout time.Duration            // of the record of an external handler, and of Commit
	RunsHere    func(module string) bool // false for an unknown module
	Calls       nest.Calls               // of user code, within a reaction or a unit of work

	running       atomic.Int64 // reactions that run now
	stopping      atomic.Bool
	ended         chan struct{}   // gets a value when the engine is stopping and the last reaction has ended
	work          context.Context // of external calls; ends at the end of Drain's limit
	accepting     context.Context // ends when the engine begins to stop: no new reaction starts
	cancelWork    func()
	stopAccepting func()
}

// AfterCancel is the time that handlers have to return after their context has ended. After that, Drain abandons them.
const AfterCancel = 5 * time.Second

// Start readies the engine for reactions. The context work has the values of ctx, and ends with the function end or,
// in Drain, at the end of the limit. The context accepting ends when the engine stops.
func (e *Engine) Start(ctx context.Context) (work, accepting context.Context, end func()) {
	e.ended = make(chan struct{}, 1)
	e.work, e.cancelWork = context.WithCancel(context.WithoutCancel(ctx))
	e.accepting, e.stopAccepting = context.WithCancel(e.work)
	return e.work, e.accepting, e.cancelWork
}

// Stop ends the context accepting. From then on no reaction starts.
func (e *Engine) Stop() {
	e.stopping.Store(true)
	e.stopAccepting()
}

// Drain waits for the running reactions after Stop, and ends the context work, of external handlers, at the end of the
// limit. The Router would wait for reactions, too, but under a lock, and testing/synctest does not advance time while a
// goroutine waits for a lock.
func (e *Engine) Drain(limit time.Duration) {
	cancel := time.AfterFunc(limit, e.cancelWork)
	defer cancel.Stop()
	end := time.NewTimer(limit + AfterCancel)
	defer end.Stop()
	for e.running.Load() > 0 {
		select {
		case <-e.ended:
		case <-end.C:
			return
		}
	}
}

// begin counts a new reaction, and reports whether the reaction may run: not while the engine is stopping. The caller
// calls end in both cases.
func (e *Engine) begin() bool {
	e.running.Add(1)
	return !e.stopping.Load()
}

func (e *Engine) end() {
	if e.running.Add(-1) == 0 && e.stopping.Load() {
		select {
		case e.ended <- struct{}{}:
		default:
		}
	}
}

// Transaction runs user code that has a transaction, and returns a panic as an error.
func (e *Engine) Transaction(fn func() error) (err error) {
	e.Calls.Transaction(func() { err = guard.Run(fn) })
	return err
}

// outside runs user code that has no transaction, and returns a panic as an error.
func (e *Engine) outside(fn func() error) (err error) {
	e.Calls.Outside(func() { err = guard.Run(fn) })
	return err
}
