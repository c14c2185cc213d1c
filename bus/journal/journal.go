package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Errors that every Journal returns, wrapped in an error with the details.
var (
	// ErrClosed: the journal was closed before the work could be done. No write of the work is on disk.
	ErrClosed = errors.New("journal: closed")
	// ErrUnavailable: the store refused the work (a full disk, a lost lock, an I/O error). No write of the work is on
	// disk. The caller may retry.
	ErrUnavailable = errors.New("journal: unavailable")
	// ErrUnknown: the work was committed, and then the disk failed to sync. After a crash the work may or may not be on
	// disk. A retry may repeat the work.
	ErrUnknown = errors.New("journal: outcome unknown")
	// ErrFailed: the work cannot be committed because of a mistake in the work, such as a violated deferred constraint,
	// or a transaction that the work itself has ended. No write is on disk. A retry of the same work fails again.
	ErrFailed = errors.New("journal: failed")
	// ErrNested: running work has called this work and waits for it, but this work cannot start before the end of the
	// running work. No write of this work is on disk.
	ErrNested = errors.New("journal: nested work")
	// ErrKeyReused: the key of Once belongs to a request with another Digest. No write of the work is on disk.
	ErrKeyReused = errors.New("journal: key of another request")
	// ErrAbandoned: the work exceeded its Limit inside the transaction, and was rolled back. Work that can never return,
	// by a mistake of its own, is also an ErrFailed.
	ErrAbandoned = errors.New("journal: abandoned")
)

// ModuleOf returns the module of a subscription: the first part of the name.
func ModuleOf(subscription string) string {
	module, _, _ := strings.Cut(subscription, "/")
	return module
}

// Subscription declares a durable consumer of events.
type Subscription struct {
	Name     string   // durable and unique, "inventory/reserve-stock"
	Types    []string // the consumed event types
	Emits    []string // the event types that reactions may emit, for information
	Except   []string // with empty Types: consume every type except these (for the bus's subscription to unknown types)
	Parallel int      // limit of deliveries in flight, at least 1; at most one per key
	// Outside marks a handler that calls the outside world. Such a handler gets an event only after the event is safe
	// from a power cut.
	Outside bool
	// Bare says that consumers use only the Delivery in the context of a Watermill message. Then messages may share a
	// payload and have no metadata. Measured: a tenth of the allocations of a reaction.
	Bare bool
	// Prepare, if set, is called before the first attempt of a delivery, in a goroutine that lives as long as the
	// subscription. The result becomes Delivery.Prepared. Prepare is for decoding: measured, a reaction spent a tenth of
	// its processor time on growing the small stack of the Router's new goroutines under encoding/json.
	Prepare func(*Event) any
	// FromNow makes a new subscription start after the newest event. By default a new subscription starts at the oldest
	// event.
	FromNow bool
	// FromStart confirms that a subscription with Outside, new or with a new type, is to call the outside for the events
	// of the past.
	FromStart bool
	// Was names earlier names of the subscription, "inventory/reserve", the newest first. A subscription of the journal
	// with such a name goes on under Name.
	Was []string
	// Version, another number than before, makes the subscription run from the start. 0 changes nothing.
	Version int
	// TypesFromNow are types whose older events a subscription skips when the subscription is new or gains the type. A
	// subscription with FromNow skips older events of every gained type. Other gained types are delivered from the start
	// of the subscription. Open events of a lost type become dead letters.
	TypesFromNow []string
	// Elsewhere marks a subscription of a module in another process. Such a subscription has no subscriber here. A
	// journal that already has the subscription refuses the program, because open work of the subscription would never be
	// done.
	Elsewhere bool
	// Park makes later events with the key of a dead letter wait until a person replays or drops the dead letter. By
	// default the later events are delivered.
	Park bool
}

// Delivery is an event on its way to a subscription. The subscriber puts the Delivery into the context of the
// Watermill message, and FromContext returns it.
type Delivery struct {
	Event        *Event // shared with other subscriptions: do not change the event
	Subscription string
	First        string    // the oldest name of the subscription; "" means Subscription
	Attempt      int       // counted from 1
	Prepared     any       // result of Subscription.Prepare, which later attempts share
	Failed       time.Time // time of the first failed attempt; zero before
	Since        time.Time // with FromNow: when the journal first saw the subscription, or its type; otherwise zero
	// Ahead is how far the wall clock is ahead of time.Now, in tests that step the clock. Handlers see the time of the
	// event earlier by Ahead, so that its age by time.Now is right.
	Ahead time.Duration
}

// ID returns the name of the delivery, which is the same at every retry, after restarts, and under every name of the
// subscription: the idempotency key for external calls.
func (d *Delivery) ID() string { return d.FirstName() + ":" + d.Event.ID }

// FirstName returns the oldest name of the subscription, which identifies the work of the subscription under all names.
func (d *Delivery) FirstName() string { return cmp.Or(d.First, d.Subscription) }

type deliveryKey struct{}

// NewContext returns a context with d.
func NewContext(ctx context.Context, d *Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// FromContext returns the delivery in the context of a message, or nil.
func FromContext(ctx context.Context) *Delivery {
	d, _ := ctx.Value(deliveryKey{}).(*Delivery)
	return d
}

// Verdict is the result of an attempt, decided by the bus and recorded by the journal.
type Verdict struct {
	Outcome  Outcome       // Done, Skipped, Dropped, Dead or Retrying; only Done keeps state changes
	Emit     []*Event      // with Done: events to append in the same commit; the journal sets Seq
	RetryAt  time.Time     // with Retrying
	Waits    bool          // with Retrying: the attempt does not count, and has not failed
	Abort    error         // if set, the attempt is rolled back without a record, and React returns Abort
	Err      string        // the error, or the reason of a drop
	Stack    string        // of a panic
	Started  time.Time     // when the attempt began
	Duration time.Duration // how long the handler took
}

// Counted returns the number of attempts that count after attempt, which is counted from 1, and v.
func (v *Verdict) Counted(attempt int) int {
	if v.Waits {
		return attempt - 1
	}
	return attempt
}

// TxFunc returns the transaction of the running work. The first call creates a savepoint; work that never calls TxFunc
// saves the cost. The *sql.Tx is valid until the work returns. Use the *sql.Tx in one goroutine at a time, and neither
// commit nor roll back.
type TxFunc func() *sql.Tx

// Work describes a function that runs inside the writer's transaction.
type Work struct {
	Module string        // the module whose tables the work may read and write
	Name   string        // the name of the work, for reports of slow work
	Limit  time.Duration // how long the work may hold the transaction before the rollback; 0 means no limit
	// Keep, for React, says that the caller keeps the verdict and retries React when the journal cannot record the
	// verdict. Until then the delivery stays in flight. Without Keep the journal delivers again.
	Keep bool
	// Once, for Do, gives the work an idempotency key.
	Once *Once
	// Delivery, for Do, is the delivery that the work belongs to. When the delivery has a final answer already, such as a
	// drop by a person, Do returns an ErrAbandoned.
	Delivery *Delivery
	// Tick, for Do, moves a schedule on, in the same commit. When the schedule is not at Tick.From, because another
	// process has moved it on, Do returns an ErrAbandoned.
	Tick *Tick
}

// Tick is a step of a schedule.
type Tick struct {
	Schedule string    // durable and unique, "billing/nightly"
	Spec     string    // for information
	From, To time.Time // all due times up to From were decided before, and up to To with the step; From is zero at first
	Next     time.Time // the next due time after To, for information
}

// Once makes a journal do work once under a key of the module. With the commit of the work the journal keeps Flow and
// Answer, which the work has set, for Keep. Later work under the key is not run: Do returns nil, with the kept Flow and
// Answer, or an ErrKeyReused when the Digest is another.
type Once struct {
	Key    string
	Digest []byte // of the request
	Keep   time.Duration
	Flow   string
	Answer []byte
}

// IdentityMark separates the name of a backend, which depends on the settings alone, from the backend's identity.
const IdentityMark = " #"

// Journal is an append-only log of events and the records of their deliveries, owned by one process. All methods are
// safe for concurrent use.
type Journal interface {
	// Fits returns an error when the program must not run on the journal: a newer program has used the journal, a
	// migration was changed or manages transactions itself, a subscription with open work is not in subs, a new
	// subscription with Outside has a past, or Subscribe would refuse. modules are the modules that run here, with their
	// migrations or nil; subs are all subscriptions. Fits writes nothing.
	Fits(ctx context.Context, modules map[string]fs.FS, subs []Subscription) error

	// Migrate applies the SQL files of fsys that are not applied yet for module, in the order of the names, each in a
	// transaction of its own.
	Migrate(ctx context.Context, module string, fsys fs.FS) error

	// Subscribe registers the durable subscriptions and their changes of name, all at once, and returns a Watermill
	// subscriber by name, for each subscription that is not Elsewhere. Deliveries start at the subscriber's Subscribe.
	// React alone settles a delivery: the journal ignores acknowledgements.
	Subscribe(ctx context.Context, subs []Subscription) (map[string]message.Subscriber, error)

	// React runs work in the writer's transaction. The state changes, the events of the verdict and the record of the
	// outcome are one commit. When React returns nil, the verdict is on disk, or the delivery was settled before and
	// React did nothing. When React fails, the journal delivers again; see Work.Keep.
	React(ctx context.Context, d *Delivery, w Work, run func(TxFunc) Verdict) error

	// Do runs work in the writer's transaction. The state changes and the returned events are one commit. After an error
	// of run, Do rolls back and returns the error unchanged.
	Do(ctx context.Context, w Work, run func(TxFunc) ([]*Event, error)) error

	// Ticked returns the time up to which all due times of a schedule are decided (Tick.To), or the zero time for a
	// schedule that is new in the journal.
	Ticked(ctx context.Context, schedule string) (time.Time, error)

	// Until waits until the wall clock shows t or later, also when the clock is set meanwhile. Until returns the error of
	// ctx when ctx ends, and ErrClosed when the journal is closed.
	Until(ctx context.Context, t time.Time) error

	// Writable waits until the journal accepts work, judging by the last commit, or returns the error of ctx. Handlers
	// that call the outside world wait first, because otherwise their answer could not be recorded.
	Writable(ctx context.Context) error

	// View runs run in a read-only transaction on a snapshot, and does not wait for the writer.
	View(ctx context.Context, run func(*sql.Tx) error) error

	// Backlog counts the open work.
	Backlog() Backlog
	// Quiet waits until no delivery is ready, in flight or waiting for a retry, or returns the error of ctx. Quiet does
	// not wait for delayed events, blocked keys and dead letters.
	Quiet(ctx context.Context) error

	// Wait waits until every subscription of the journal has answered every event of the flow, or returns the error of
	// ctx. Wait does not wait for delayed events. A flow without events is waited for.
	Wait(ctx context.Context, flow string) error

	// UseBackend records the backend that the feeds are sent to. Call UseBackend before Feed. When the backend or its
	// identity has changed, the feeds restart from the beginning: the new backend has received nothing, or has lost
	// messages. The identity is the text after IdentityMark, and a missing identity counts as unchanged.
	UseBackend(ctx context.Context, backend string) error
	// Feed opens a feed, the outgoing events of the journal. Open each feed once, before Subscribe.
	Feed(ctx context.Context, name FeedName) (Feed, error)
	// Memory returns the positions of this journal in the topics of other deployables.
	Memory() Memory
}

// Backlog counts the open work of a journal.
type Backlog struct {
	Ready    int // deliveries that have not started
	InFlight int // deliveries in flight
	Retrying int // deliveries that wait for the next attempt
	Blocked  int // deliveries that wait for an earlier event with the same key
}

// Quiet reports whether no delivery is ready, in flight or waiting for a retry.
func (b Backlog) Quiet() bool { return b.Ready == 0 && b.InFlight == 0 && b.Retrying == 0 }
