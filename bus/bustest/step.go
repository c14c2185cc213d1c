package bustest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// Part is something that Explore does or looks at by itself, and that a scenario may do without.
type Part uint

// The parts. The first five make trouble, the others find it. Those that Optional has are left out unless Exploration.With has them.
const (
	Orders   Part = 1 << iota // another order than that of arrival
	Crashes                   // before and after each commit, and each message that is sent
	Twice                     // the same delivery again
	Troubles                  // of calls to the outside, and of what is sent to other deployables
	Pauses                    // time that passes while there is work
	Again                     // a reaction run again on the same state emits the same; in every fourth schedule
	Answers                   // every event has one answer, and no dead letter is left
	Books                     // System.Verify
	Keys                      // a call that is repeated has the same key, and the same body
	Fences                    // no module touches another's tables
	Ends                      // everything becomes quiet
	Starts                    // a run that begins just before the day, the month, the year or summer time ends: makes trouble
	Refusals                  // of the store: it takes a commit at the next try. Makes trouble
	Unheard                   // a reaction is not done when a call of it to the outside has failed, and was not repeated
	Groups                    // several reactions and units of work that share a commit, of which one may fail: makes trouble
	Clocks                    // steps of the wall clock, forward and back: makes trouble

	Optional = Groups | Clocks
)

// stepKind is what waits for its turn.
type stepKind int

const (
	stepDo      stepKind = iota // a unit of work
	stepReact                   // a reaction, or the recording of an answer from outside
	stepDeliver                 // an event to a handler that calls the outside
	stepCall                    // a call to the outside
	stepTake                    // an event that another deployable has sent
	stepSend                    // an event to the other deployables
	stepView                    // what one of several clients reads
	stepBeside                  // what another process does
	stepLook                    // a process takes notice of that, and of the clock
)

// fault is what goes wrong with a step.
type fault int

const (
	faultNone fault = iota
	faultCrashBefore
	faultCrashAfter
	faultTwice
	faultFails
	faultLoses
	faultHangs
	faultRefused
	faultPair // not wrong at all: two steps share a commit
	faultGroup
	faultGroupRefused
	faultGroupSpoilt
	faultGroupCrashBefore
	faultGroupCrashAfter
	faultDead // the process died before it was the step's turn
)

// possible are the faults that a step of a kind may meet, which has so many partners for a commit; the first is none.
func (k stepKind) possible(without Part, partners int) []fault {
	all := map[stepKind][]fault{
		stepDo:      {faultCrashBefore, faultCrashAfter, faultRefused},
		stepReact:   {faultCrashBefore, faultCrashAfter, faultTwice, faultRefused},
		stepDeliver: {faultTwice},
		stepCall:    {faultFails, faultLoses, faultHangs},
		stepTake:    {faultCrashBefore, faultCrashAfter, faultTwice},
		stepSend:    {faultCrashBefore, faultCrashAfter, faultFails, faultLoses},
	}[k]
	out := []fault{faultNone}
	for _, f := range all {
		if f.part()&without == 0 {
			out = append(out, f)
		}
	}
	for f := faultPair; f <= faultGroupCrashAfter && partners > 0; f++ {
		if f.part()&without == 0 && (f != faultGroup || partners > 1) {
			out = append(out, f)
		}
	}
	return out
}

func (f fault) part() Part {
	switch f {
	case faultCrashBefore, faultCrashAfter:
		return Crashes
	case faultTwice:
		return Twice
	case faultRefused:
		return Refusals
	case faultFails, faultLoses, faultHangs:
		return Troubles
	case faultPair, faultGroup, faultGroupSpoilt:
		return Groups
	case faultGroupRefused:
		return Groups | Refusals
	case faultGroupCrashBefore, faultGroupCrashAfter:
		return Groups | Crashes
	default:
		return 0
	}
}

// step is a piece of work that waits for its turn.
type step struct {
	kind    stepKind
	life    *life
	what    string         // the act, the subscription, the call, or the deployable that sends or takes in
	by      string         // of a call: the subscription
	module  string         // of a unit of work: whose tables it may touch
	client  int            // which of several clients, from 2: the obvious schedule has them come one after the other
	about   *journal.Event // nil for an act, and for a message that is no event
	attempt int
	message string // where the broker has the message that is taken in
	stopped bool   // of another process's act: the system is stopped meanwhile

	round int             // in which it was first seen
	gone  <-chan struct{} // closed when it is over without a turn; nil for what has begun already: never
	turn  chan fault
	done  chan struct{} // closed when it has done what it does while nothing else may happen
}

// newStep makes a step that is done by whoever passes with it.
func newStep(kind stepKind, what string) *step {
	return &step{kind: kind, what: what, turn: make(chan fault, 1), done: make(chan struct{})}
}

// compare says which of two steps that are ready is the older one, the same in every run: by the log, and never by a name, so that
// the obvious schedule handles events in the order in which they happened. What is to be sent comes first: when it is sent makes no
// difference, since it is taken in at any time after that.
func (s *step) compare(o *step) int {
	return cmp.Or(
		cmp.Compare(s.patient(), o.patient()), cmp.Compare(s.client, o.client), cmp.Compare(s.round, o.round), cmp.Compare(s.kind, o.kind), cmp.Compare(s.seq(), o.seq()),
		cmp.Compare(s.String(), o.String()), cmp.Compare(s.number(), o.number()), cmp.Compare(s.message, o.message))
}

// number is that of the process whose step it is; 0 where it is nobody's of the system.
func (s *step) number() int {
	if s.life == nil {
		return 0
	}
	return s.life.deployable.number
}

// patient is 0 for what must come next, and 2 for what the obvious schedule leaves until nothing else is ready.
func (s *step) patient() int {
	switch s.kind {
	case stepSend:
		return 0
	case stepBeside:
		return 2
	default:
		return 1
	}
}

func (s *step) seq() int64 {
	if s.about == nil {
		return 0
	}
	return s.about.Seq
}

// subject is the event that a step is about, in words that are the same in every run.
func (s *step) subject() string {
	if s.about == nil {
		return "a message that is no event"
	}
	text := s.about.Type
	if s.about.Key != "" {
		text += " " + s.about.Key
	}
	if s.attempt > 1 {
		text += fmt.Sprintf(", attempt %d", s.attempt)
	}
	return text
}

// String is what a story calls it.
func (s *step) String() string {
	switch s.kind {
	case stepDo:
		if s.about != nil {
			return fmt.Sprintf("%s of %s notes what it is about to do", s.what, s.subject())
		}
		return s.what
	case stepView:
		return s.what + " (read)"
	case stepBeside:
		return s.what
	case stepLook:
		return s.look()
	case stepDeliver:
		return fmt.Sprintf("%s gets %s", s.what, s.subject())
	case stepCall:
		return fmt.Sprintf("%s by %s of %s", s.what, s.by, s.subject())
	case stepTake:
		return fmt.Sprintf("%s takes in %s", s.what, s.subject())
	case stepSend:
		return fmt.Sprintf("%s sends %s", s.what, s.subject())
	default:
		return fmt.Sprintf("%s of %s", s.what, s.subject())
	}
}

// with is the sentence for a step that met f.
func (f fault) with(s *step) string {
	if s.life == nil {
		return s.String()
	}
	crash, sent := s.String()+": "+s.life.deployable.process(), s.kind == stepSend
	switch f {
	case faultCrashBefore:
		if sent {
			return crash + " crashes before the broker has it"
		}
		return crash + " crashes before the commit"
	case faultCrashAfter:
		switch {
		case sent:
			return crash + " crashes before it notes that the broker has it"
		case s.kind == stepTake:
			return crash + " crashes after the commit, before it acknowledges"
		}
		return crash + " crashes after the commit"
	case faultTwice:
		return s.String() + ": delivered twice"
	case faultRefused:
		return s.String() + ": the store refuses the commit"
	case faultFails:
		if sent {
			return s.String() + ": the broker refuses it"
		}
		return s.String() + " fails"
	case faultLoses:
		if sent {
			return s.String() + ": the broker has it, but its answer is lost"
		}
		return s.String() + " is done, but the answer is lost"
	case faultHangs:
		return s.String() + " hangs"
	default:
		return s.String()
	}
}

// place is whose state a step changes: a module's, a service's, or what a deployable has sent or taken in.
func (s *step) place() string {
	switch module, _, _ := strings.Cut(s.what, "/"); s.kind {
	case stepDo:
		return s.module
	case stepView:
		return "read by " + s.what
	case stepBeside, stepLook:
		return "beside"
	case stepCall:
		service, _, _ := strings.Cut(s.what, ".")
		return "service " + service
	case stepSend:
		return "sent by " + s.what
	case stepTake:
		return "taken in by " + s.what
	default:
		return module
	}
}
