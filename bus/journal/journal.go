package journal

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Errors that every Journal answers with, wrapped in what happened.
var (
	// ErrClosed: the journal was closed before the work could be done. Nothing of it is on disk.
	ErrClosed = errors.New("journal: closed")
	// ErrUnavailable: the store refused (a full disk, a lost lock, an I/O error). Nothing of the work is on disk;
	// it may be tried again.
	ErrUnavailable = errors.New("journal: unavailable")
	// ErrUnknown: the work was committed, and the disk then failed to sync: whether it is still there after a crash
	// nobody knows. Trying it again may do it twice.
	ErrUnknown = errors.New("journal: outcome unknown")
	// ErrFailed: the work itself, not the store, is why it cannot be committed: a deferred constraint, a transaction that
	// it ended. Nothing of it is on disk, and trying it again fails again unless the work changes.
	ErrFailed = errors.New("journal: failed")
	// ErrNested: work that was called by other work waits for that to end. Nothing of it is on disk.
	ErrNested = errors.New("journal: nested work")
	// ErrAbandoned: the work outstayed its Limit inside the transaction and was cut off; its changes are rolled back. Work that can
	// never return, by its own fault, is an ErrFailed, too.
	ErrAbandoned = errors.New("journal: abandoned")
)

// Subscription declares one durable consumer of events.
type Subscription struct {
	Name     string   // durable and unique, "inventory/reserve-stock"
	Types    []string // the event types that it consumes
	Emits    []string // the event types that its reactions may emit, for who wants to know
	Except   []string // with Types empty: every type but these (for the bus's own watch for unknown types)
	Parallel int      // deliveries handed out at once, at least 1; those of one key never at once
	// Outside marks a subscription whose handler calls the outside world: it gets an event only when that survives a
	// power cut.
	Outside bool
	// Bare says that nobody looks at the Watermill messages themselves, only at the Delivery in their context: their
	// payload may be shared, and their metadata missing. Measured, a tenth of what a reaction allocates.
	Bare bool
	// Prepare, when set, is called once before each delivery, in a goroutine that lives as long as the subscription;
	// what it returns is the delivery's Prepared. It is for decoding: measured, a tenth of the processor time of a
	// reaction went into growing the small stack of the Router's fresh goroutines under encoding/json.
	Prepare func(*Event) any
	// FromNow makes a subscription that the journal has never seen start behind the newest event. Otherwise it
	// starts with the oldest.
	FromNow bool
	// Elsewhere marks a subscription of a module that another process runs. It is made known so that a journal that has it
	// refuses to leave it behind; nobody subscribes to it here.
	Elsewhere bool
	// Park keeps a key's later events blocked behind a dead letter until a person replays or drops it.
	// Otherwise the key resumes.
	Park bool
}

// Delivery is one event on its way through one subscription. Subscriber puts it into the context of the Watermill
// message, from where FromContext takes it.
type Delivery struct {
	Event        *Event // shared with other subscriptions: never to be changed
	Subscription string
	Attempt      int       // 1 for the first
	Prepared     any       // what Subscription.Prepare made of the event; a delivery made again has the same
	Failed       time.Time // when its first attempt failed; zero before that
	Since        time.Time // when the journal came to know the subscription, with its FromNow; zero otherwise
}

// ID names this delivery for ever, over retries and restarts: the idempotency key for calls to the outside.
func (d *Delivery) ID() string { return d.Subscription + ":" + d.Event.ID }

type deliveryKey struct{}

// NewContext returns ctx with d in it.
func NewContext(ctx context.Context, d *Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// FromContext returns the delivery that a message's context carries, or nil.
func FromContext(ctx context.Context) *Delivery {
	d, _ := ctx.Value(deliveryKey{}).(*Delivery)
	return d
}

// Verdict is what became of one attempt, decided by the bus, recorded by the journal.
type Verdict struct {
	Outcome  Outcome       // Done, Skipped, Dropped, Dead or Retrying; with all but Done, state changes are rolled back
	Emit     []*Event      // with Done: appended in the same commit. Seq is filled in.
	RetryAt  time.Time     // with Retrying
	Abort    error         // instead of an outcome: the attempt is undone, nothing is recorded, and React returns it
	Err      string        // the error, the reason of a drop
	Stack    string        // of a panic
	Started  time.Time     // when the attempt began
	Duration time.Duration // how long the handler took
}

// TxFunc gives the transaction that work runs in. The first call opens the work's savepoint; work that never asks costs
// none. The *sql.Tx is good until the work returns, must be used by one goroutine at a time, and must be neither
// committed nor rolled back.
type TxFunc func() *sql.Tx

// Work is something to run inside the writer's transaction.
type Work struct {
	Module string        // whose tables it may touch
	Name   string        // who it is, for reports of slow work
	Limit  time.Duration // how long it may hold the transaction before it is cut off; 0 means no limit
	// Keep says, to React, that the caller keeps the verdict and tries again itself when the journal cannot record it. The
	// delivery stays handed out until then; otherwise it is delivered again.
	Keep bool
	// Delivery, to Do, is the one that the work is a part of. Where that has its final answer, such as of a person, Do is an
	// ErrAbandoned.
	Delivery *Delivery
}

// IdentityMark divides the name of a carrier, as its settings have it, from its identity.
const IdentityMark = " #"

// Journal is an append-only log of events with everything recorded about them, owned by one process.
// All methods are safe for concurrent use.
type Journal interface {
	// Fits says why the program whose modules have these tables, and which subscribes to subs, must not run on the journal, before
	// anything of it is applied: the journal is from a newer program, a migration was changed, or manages transactions itself, or
	// Subscribe would refuse. It writes nothing, and logs which subscriptions that are not in subs have work open.
	Fits(ctx context.Context, modules map[string]fs.FS, subs []Subscription) error

	// Migrate applies, in the order of their names, the SQL files of fsys that the journal has not applied for module
	// yet, each in a transaction of its own.
	Migrate(ctx context.Context, module string, fsys fs.FS) error

	// Subscribe makes the set of durable subscriptions known, all at once, and returns a Watermill subscriber for each that
	// is not Elsewhere, by name. Deliveries start when Subscribe is called on it; its acknowledgements are not listened to: a delivery is
	// settled by React alone.
	Subscribe(ctx context.Context, subs []Subscription) (map[string]message.Subscriber, error)

	// React runs work in the writer's transaction and commits, as one, its state changes, the events that its
	// verdict emits and the record of the outcome. When it returns nil the verdict is on disk, or the delivery had
	// been settled before and nothing happened. A delivery whose React failed is delivered again.
	React(ctx context.Context, d *Delivery, w Work, run func(TxFunc) Verdict) error

	// Do runs work in the writer's transaction and commits, as one, its state changes and the events that it
	// returns. An error of run rolls back and is returned as it is.
	Do(ctx context.Context, w Work, run func(TxFunc) ([]*Event, error)) error

	// Writable returns when the journal takes work, as far as it knows from the last that it got, or with ctx's error.
	// Handlers that call the outside wait for it: their answers could not be recorded.
	Writable(ctx context.Context) error

	// View runs run in a read-only transaction: a snapshot that does not wait for the writer.
	View(ctx context.Context, run func(*sql.Tx) error) error

	// Backlog tells what is left to do.
	Backlog() Backlog
	// Quiet returns when nothing is ready, in flight or waiting for a retry, or with ctx's error.
	// Delayed events, blocked keys and dead letters do not count.
	Quiet(ctx context.Context) error

	// Over says which carrier the feeds go over, before the first of them is opened. When it was another one, they begin again with
	// all that they have ever had: nobody there has been sent anything. What follows an IdentityMark is the carrier's own identity: of
	// two that differ in that, the later one lacks what was sent, and one that is not known is no other.
	Over(ctx context.Context, carrier string) error
	// Feed opens one of the journal's feeds, which is what others are told. Each is opened once, before Subscribe.
	Feed(ctx context.Context, name FeedName) (Feed, error)
	// Memory is where it is noted how far the topics of others have been read.
	Memory() Memory
}

// Backlog counts what a journal has left to do.
type Backlog struct {
	Ready    int // events that a subscription has yet to take
	InFlight int // deliveries handed out
	Retrying int // deliveries that wait for their next attempt
	Blocked  int // deliveries behind an earlier one of their key
}

// Quiet reports whether nothing is ready, in flight or waiting for a retry.
func (b Backlog) Quiet() bool { return b.Ready == 0 && b.InFlight == 0 && b.Retrying == 0 }
