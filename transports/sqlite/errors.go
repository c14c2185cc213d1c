package sqlite

import (
	"github.com/troupebus/troupe/transports/sqlite/internal/acts"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/halves"
	"github.com/troupebus/troupe/transports/sqlite/internal/observer"
	"github.com/troupebus/troupe/transports/sqlite/internal/owner"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

var (
	// ErrInUse: another process owns the journal for writing. Reading is always possible.
	ErrInUse = file.ErrInUse

	// ErrGone: the journal's file was moved, removed or replaced while the journal was in use. The error comes with
	// journal.ErrUnknown for work that was committed before that was found, and with journal.ErrUnavailable for all
	// other work. The journal acknowledges nothing more until the program starts again on the right file.
	ErrGone = file.ErrGone

	// ErrNewer: the journal was written by a newer version of the program, or of a module, than this one.
	ErrNewer = schema.ErrNewer

	// ErrNotFound: the journal has no event, flow or dead letter of that id or key.
	ErrNotFound = reader.ErrNotFound

	// ErrTooMany: an id stands for more flows than can be shown at once.
	ErrTooMany = reader.ErrTooMany

	// ErrNotDead: a dead letter that was replayed or dropped before.
	ErrNotDead = acts.ErrNotDead

	// ErrObserver: the journal is that of an observer, which decides nothing.
	ErrObserver = acts.ErrObserver

	// ErrDeployable: the journal is a deployable's, and cannot become an observer's.
	ErrDeployable = observer.ErrDeployable

	// ErrBooks: the rows of the journal contradict each other. Reader.Check lists the contradictions.
	ErrBooks = acts.ErrBooks

	// ErrRetired: the subscription is that of a program that ran before, and the one that ran last does not have it.
	ErrRetired = acts.ErrRetired

	// ErrMoved: the journal is not usable. It is one half of a move of modules that did not take place, or its modules
	// were merged into another journal.
	ErrMoved = halves.ErrMoved

	// ErrOtherProgram: the journal belongs to another program. The error is an *OtherProgramError.
	ErrOtherProgram = owner.ErrOtherProgram
)

// OtherProgramError names the program to which a journal belongs that another program has tried to open. Nothing was
// written.
//
//	Program   string   // the program that tried
//	Owner     string   // the journal's program; "" if unknown
//	Modules   []string // with subscriptions, tables or delayed events in the journal
//	Adoptable bool     // Program may adopt the journal: it has one of Modules, or there are none
type OtherProgramError = owner.OtherProgramError

// StrandedError means that the journal has a subscription of a module that is not to run on the journal.
//
//	Subscription string
//
//	func (e *StrandedError) Module() string
//	    Module returns the module of the subscription.
type StrandedError = owner.StrandedError

// OpenWork counts the open work of a subscription. Each count ends at 10,000.
//
//	Events      int64 // without an attempt
//	Retrying    int64
//	Blocked     int64
//	DeadLetters int64 // dead, or waiting for a replay
type OpenWork = registry.OpenWork

// OpenWorkError means that the journal has open work of a subscription that the program does not have. Nothing was
// written. Several errors of this kind and of PastError may be joined.
//
//	OpenWork
//	Subscription string
type OpenWorkError = registry.OpenWorkError

// PastError means that an external subscription is new, or gains types, and the journal has events for which the
// subscription would call the outside. Nothing was written.
//
//	Subscription string
//	Events       int64    // in the journal, of the types of Subscription, or of Gained; not more than 10,000 of Gained
//	Removed      []string // subscriptions of the module to such a type that the program does not have
//	Gained       []string // the types that Subscription gains; nil for a new subscription
type PastError = registry.PastError

// NamesError means that a subscription cannot have its name: the journal cannot tell which of several subscriptions is
// meant. Nothing was written.
//
//	Subscription string   // of the program
//	Known        []string // subscriptions of the journal that have, or had, a name of Subscription
//	Wired        bool     // the program has Known[0], too, under the present name
type NamesError = registry.NamesError
