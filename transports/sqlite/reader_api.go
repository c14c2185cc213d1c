package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/crossing"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// What commands ask of a journal is in package internal/reader. These are its types and functions that are part of
// the API.
type (
	// Reader reads a journal, also while another process owns and writes the journal. A reader waits for no lock and
	// changes nothing. All methods are safe for concurrent use; each sees the journal at one instant.
	//
	//	func (r *Reader) Causes(ctx context.Context, f DeadLetterFilter) ([]Cause, error)
	//	    Causes groups the dead letters that f wants by subscription and error, the most frequent first.
	//	func (r *Reader) Check(ctx context.Context) ([]string, error)
	//	    Check tests the rules of a journal, and returns a line for each violation.
	//	func (r *Reader) CheckAloud(ctx context.Context, progress func(what string, done, of int64)) ([]string, error)
	//	    CheckAloud is Check with progress: the object of the check, and how much of it is done.
	//	func (r *Reader) Close() error
	//	    Close closes a reader of OpenReader.
	//	func (r *Reader) DeadLetter(ctx context.Context, id int64) (*journal.DeadLetter, error)
	//	    DeadLetter returns the dead letter with this id and the acts on it, or an ErrNotFound.
	//	func (r *Reader) DeadLetters(ctx context.Context, f DeadLetterFilter) ([]journal.DeadLetter, error)
	//	    DeadLetters returns the dead letters that f wants, without the acts on them, by id.
	//	func (r *Reader) EachAnswered(ctx context.Context, progress func(done, of int64),
	//	        fn func(*journal.Event, []journal.Reaction) error) error
	//	    EachAnswered calls fn with every event of the journal, in the order of the log, with the answer of each
	//	    subscription that wants the event.
	//	func (r *Reader) Events(ctx context.Context, f EventFilter, fn func(*journal.Event) error) error
	//	    Events calls fn with the events that f wants, in the order of the log, also with Newest.
	//	func (r *Reader) Explain(ctx context.Context, id string) ([]journal.FlowEvent, error)
	//	    Explain returns the event with this id and the answer of every subscription that wants the event.
	//	func (r *Reader) Flow(ctx context.Context, id string) ([]*journal.Flow, error)
	//	    Flow returns the flows that match id, in the order of their first events: the flow with that correlation
	//	    id; otherwise the flow of the event with that id; otherwise all flows with events of that key.
	//	func (r *Reader) LetterStatuses(ctx context.Context, ids []int64) (map[int64]journal.LetterStatus, error)
	//	    LetterStatuses returns the status of each dead letter with one of ids.
	//	func (r *Reader) ListDeadLetters(ctx context.Context, f DeadLetterFilter, fn func(*journal.DeadLetter) error)
	//	        (more bool, err error)
	//	    ListDeadLetters calls fn with the dead letters that f wants, by id, without payload, metadata, stack and
	//	    acts (see DeadLetter).
	//	func (r *Reader) OtherProgram(ctx context.Context, p *journal.Program) (other *OtherProgramError, err error)
	//	    OtherProgram returns the error of Open with p for a journal of another program, and nil otherwise.
	//	func (r *Reader) Path() string
	//	    Path is the absolute path of the journal's file.
	//	func (r *Reader) Program(ctx context.Context) (p *journal.Program, err error)
	//	    Program returns the program of the journal, or nil if unknown: the program had no name, or was older than
	//	    the names.
	//	func (r *Reader) Ran(ctx context.Context) (modules []string, backend string, err error)
	//	    Ran returns the modules with subscriptions in the journal, also with retired ones, and the backend over
	//	    which the journal's events were last sent, "" for none.
	//	func (r *Reader) Removed(ctx context.Context, subscription string) (removed bool, err error)
	//	    Removed reports whether the program that ran last lacks a subscription of an earlier program.
	//	func (r *Reader) Stats(ctx context.Context) (Stats, error)
	//	    Stats counts the content of the journal.
	//	func (r *Reader) Subscriptions(ctx context.Context) (subs []SubscriptionStats, err error)
	//	    Subscriptions returns all subscriptions by name, also the retired ones.
	//	func (r *Reader) View(ctx context.Context, fn func(*sql.Tx) error) error
	//	    View runs fn in a read-only transaction, a snapshot.
	//	func (r *Reader) Whole(ctx context.Context) error
	//	    Whole returns an error when the newest events are missing: the file was copied in use, without the log.
	Reader = reader.Reader

	// EventFilter says which events are wanted. The zero value is all of them.
	//
	//	Types    []string  // of one of these types
	//	Key      string    // of this key
	//	Flow     string    // of this correlation id
	//	Since    time.Time // published then or later
	//	AfterSeq int64     // after this seq
	//	Limit    int       // 0 means all
	//	Newest   bool      // with Limit: the newest rather than the oldest; for an observer, by time
	EventFilter = reader.EventFilter

	// DeadLetterFilter says which dead letters are wanted. The zero value is all of them.
	//
	//	IDs          []int64              // with these ids
	//	Subscription string               // of this subscription
	//	Status       journal.LetterStatus // with this status now
	//	Type         string               // of an event of this type
	//	Since        time.Time            // last died then or later
	//	Limit        int                  // the newest so many; 0 means all
	DeadLetterFilter = reader.DeadLetterFilter

	// Cause is a reason for which one subscription has dead letters.
	//
	//	Subscription string
	//	Error        string // with # for each word with a digit
	//	Count        int
	//	First        time.Time
	//	Last         time.Time
	//	Example      int64 // id of the newest of these dead letters
	Cause = reader.Cause

	// Stats counts the events, deliveries and dead letters of a journal.
	//
	//	Events        int64
	//	Delayed       int64                     // delayed events
	//	Cancelled     int64                     // delayed events that were cancelled or replaced
	//	Deliveries    map[journal.Outcome]int64 // recorded deliveries
	//	Retries       int64                     // attempts after the first, since the last replay
	//	DeadLetters   map[journal.LetterStatus]int64
	//	Subscriptions []SubscriptionStats // by name
	//	Schedules     []ScheduleStats     // by name
	Stats = reader.Stats

	// ScheduleStats is a schedule with its progress.
	//
	//	Name string
	//	Spec string
	//	Last time.Time // all due times up to Last are decided; UTC
	//	Next time.Time // the next due time; UTC
	ScheduleStats = reader.ScheduleStats

	// SubscriptionStats is a subscription of a bus, or a consumer group of plain Watermill use, with its cursor and lag.
	//
	//	Name       string
	//	Kind       string    // "bus" or "group"
	//	Types      []string  // consumed types
	//	Except     bool      // all types but these are consumed
	//	Start      int64     // events up to here are not wanted
	//	Cursor     int64     // all wanted events up to here have records
	//	Lag        int64     // wanted events after the cursor without a record; 0 when retired
	//	Retired    time.Time // since then no program runs the subscription
	//	RetiredBy  string    // the person who gave the open work up
	//	RetiredWhy string    // the reason of that person
	//	Was        []string  // earlier names, the oldest first
	//	Version    int       // of Handler.Rebuild
	//	RunOf      string    // the subscription that has run from the start since
	SubscriptionStats = reader.SubscriptionStats

	// Sent is an event of one journal.
	//
	//	Seq      int64 // in its journal
	//	ID, Type string
	//	Time     time.Time
	Sent = crossing.Sent

	// Crossing says which events go from one journal to another: those of some modules, and of some types.
	//
	//	Sources, Types []string
	Crossing = crossing.Crossing
)

// Observes reports whether the journal that tx, of a View, reads is an observer's.
func Observes(ctx context.Context, tx *sql.Tx) (bool, error) { return reader.Observes(ctx, tx) }

// Gaps returns the gaps in the topics of the observer whose journal tx, of a View, reads, unless a person has dropped
// the dead letter of the gap. With a gap the observer may lack events of the system.
func Gaps(ctx context.Context, tx *sql.Tx) ([]string, error) { return reader.Gaps(ctx, tx) }

// Early counts the records in an observer's journal whose events have not come. Recent ones are of answers given at
// before or later: their events are in transit. The events of old ones may be lost, or were never sent: they are older
// than the second deployable of the system.
func Early(ctx context.Context, tx *sql.Tx, before time.Time) (recent, old int64, err error) {
	return reader.Early(ctx, tx, before)
}

// EachDelayed calls fn with every delayed event that tx, of a View, sees. EachDelayed returns an error of fn unchanged.
func EachDelayed(ctx context.Context, tx *sql.Tx, fn func(journal.Delayed) error) error {
	return reader.EachDelayed(ctx, tx, fn)
}

// Settled reports whether nothing is open in the journal that tx, of a View, reads: no live subscription waits for an
// event, no event is delayed, and no delivery is retrying, blocked or parked.
func Settled(ctx context.Context, tx *sql.Tx) (bool, error) { return reader.Settled(ctx, tx) }

// Unarrived returns the events of the modules c.Sources in the journal of from that are missing in the journal of to,
// although to consumes c.Types. Both transactions are of a View. Events older than the first of their
// type in to do not count: to began to consume the type then.
func Unarrived(ctx context.Context, from, to *sql.Tx, c Crossing) ([]Sent, error) {
	return crossing.Unarrived(ctx, from, to, c)
}

// Unknown returns the events of the modules called sources that the journal of to has and the journal of from, on which
// the modules run, has not: from is seen earlier than to, or is an old copy. Both transactions are of a View. Events
// from before the modules moved to that journal do not count.
func Unknown(ctx context.Context, from, to *sql.Tx, sources []string) ([]Sent, error) {
	return crossing.Unknown(ctx, from, to, sources)
}

// OpenReader opens the journal at path for reading. It creates no journal and takes no lock: the owner is not affected.
// The journal of a killed owner stays as it is. OpenReader also opens a journal that cannot be written: of another
// user, on a read-only or a full file system. The caller
// must close the reader. Errors name the remedy; errors.Is distinguishes fs.ErrNotExist and ErrNewer.
func OpenReader(ctx context.Context, path string) (*Reader, error) { return reader.Open(ctx, path) }

// Reader returns a reader on j's own connections: reads are durable. The reader ends with j.
func (j *Journal) Reader() *Reader {
	return reader.New(j.path, j.View, func() error { return nil })
}

// InTransaction reports whether tx, a transaction of View, is still open. It is not after tx.Commit or tx.Rollback, nor
// after a statement COMMIT or ROLLBACK: then InTransaction begins one for the rollback of View, so ask once.
func InTransaction(ctx context.Context, tx *sql.Tx) (bool, error) {
	return file.InTransaction(ctx, tx)
}

// MigratedModules returns the sorted names of the modules with tables in a journal. tx is a transaction of View.
func MigratedModules(ctx context.Context, tx *sql.Tx) ([]string, error) {
	return schema.Modules(ctx, tx)
}
