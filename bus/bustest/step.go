package bustest

import (
	"fmt"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// Part is something that Explore does or looks at by itself, and that a scenario may do without.
type Part uint

// The parts. The first five make trouble, the others find it.
const (
	Orders   Part = 1 << iota // another order than that of arrival
	Crashes                   // before and after each commit
	Twice                     // the same delivery again
	Troubles                  // of calls to the outside
	Pauses                    // time that passes while there is work
	Again                     // a reaction run again on the same state emits the same; in every fourth schedule
	Answers                   // every event has one answer, and no dead letter is left
	Books                     // System.Verify
	Keys                      // a call that is repeated has the same key, and the same body
	Fences                    // no module touches another's tables
	Ends                      // everything becomes quiet
)

// stepKind is what waits for its turn.
type stepKind int

const (
	stepDo      stepKind = iota // a unit of work
	stepReact                   // a reaction, or the recording of an answer from outside
	stepDeliver                 // an event to a handler that calls the outside
	stepCall                    // a call to the outside
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
	faultDead // the process died before it was the step's turn
)

// possible are the faults that a step of a kind may meet; the first is none.
func (k stepKind) possible(without Part) []fault {
	all := map[stepKind][]fault{
		stepDo:      {faultCrashBefore, faultCrashAfter},
		stepReact:   {faultCrashBefore, faultCrashAfter, faultTwice},
		stepDeliver: {faultTwice},
		stepCall:    {faultFails, faultLoses, faultHangs},
	}[k]
	out := []fault{faultNone}
	for _, f := range all {
		if f.part()&without == 0 {
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
	case faultFails, faultLoses, faultHangs:
		return Troubles
	default:
		return 0
	}
}

// step is a piece of work that waits for its turn.
type step struct {
	kind    stepKind
	what    string         // the act, the subscription, or the call
	by      string         // of a call: the subscription
	about   *journal.Event // nil for an act
	attempt int

	round int // in which it was first seen
	turn  chan fault
	done  chan struct{} // closed when it has done what it does while nothing else may happen
}

// newStep makes a step that is done by whoever passes with it.
func newStep(kind stepKind, what string) *step {
	return &step{kind: kind, what: what, turn: make(chan fault, 1), done: make(chan struct{})}
}

// subject is the event that a step is about, in words that are the same in every run.
func (s *step) subject() string {
	if s.about == nil {
		return ""
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
	case stepDeliver:
		return fmt.Sprintf("%s gets %s", s.what, s.subject())
	case stepCall:
		return fmt.Sprintf("%s by %s of %s", s.what, s.by, s.subject())
	default:
		return fmt.Sprintf("%s of %s", s.what, s.subject())
	}
}

// with is the sentence for a step that met f.
func (f fault) with(s *step) string {
	switch f {
	case faultCrashBefore:
		return s.String() + ": the process crashes before the commit"
	case faultCrashAfter:
		return s.String() + ": the process crashes after the commit"
	case faultTwice:
		return s.String() + ": delivered twice"
	case faultFails:
		return s.String() + " fails"
	case faultLoses:
		return s.String() + " is done, but the answer is lost"
	case faultHangs:
		return s.String() + " hangs"
	default:
		return s.String()
	}
}

// place is whose state a step changes: a module's, or a service's.
func (s *step) place() string {
	at := strings.IndexAny(s.what, "/.")
	if s.kind == stepDo && s.about == nil || at < 0 {
		return "clients"
	}
	return s.what[:at]
}
