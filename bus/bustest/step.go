package bustest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// Part is a part of an exploration: a source of trouble, or a check. A scenario can leave out parts.
type Part uint

// The parts. Sources of trouble: Orders, Crashes, Twice, Troubles, Pauses, Starts, Refusals, Groups and Clocks. The
// other parts are checks. The parts in Optional are left out unless Exploration.With names them.
const (
	Orders   Part = 1 << iota // reactions run in another order than the order of arrival
	Crashes                   // before and after each commit, and each sent message
	Twice                     // a delivery is repeated
	Troubles                  // external calls fail, and messages to other deployables
	Pauses                    // time passes while there is work
	Again                     // a repeated reaction emits the same events; in every fourth schedule
	Answers                   // every event has an answer, and no dead letter is left
	Books                     // System.Verify
	Keys                      // a repeated call has the same key and the same body
	Fences                    // a module uses only its own tables
	Ends                      // the system becomes quiet
	Starts                    // a run begins just before the calendar or summer time changes
	Refusals                  // the store refuses a commit, and accepts the next try
	Unheard                   // a reaction is not done while one of its external calls has failed and was not repeated
	Groups                    // several reactions and units of work share a commit, and one of them may fail
	Clocks                    // steps of the wall clock, forward and back

	Optional = Groups | Clocks
)

// stepKind is the kind of work in a step.
type stepKind int

const (
	stepDo      stepKind = iota // a unit of work
	stepReact                   // a reaction, or the record of an external handler's result
	stepDeliver                 // an event for an external handler
	stepCall                    // an external call
	stepTake                    // an event from another deployable
	stepSend                    // an event to other deployables
	stepView                    // a read by one of several clients
	stepBeside                  // an act of another process
	stepLook                    // a process notices such an act, or the clock
)

// fault is the failure of a step.
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
	faultPair // no failure: two steps share a commit
	faultGroup
	faultGroupRefused
	faultGroupSpoilt
	faultGroupCrashBefore
	faultGroupCrashAfter
	faultDead // the process died before the step's turn
)

// possible returns the faults for s with this number of partners for a commit. The first is faultNone.
func (s *step) possible(without Part, partners int) []fault {
	all := map[stepKind][]fault{
		stepDo:      {faultCrashBefore, faultCrashAfter, faultRefused},
		stepReact:   {faultCrashBefore, faultCrashAfter, faultTwice, faultRefused},
		stepDeliver: {faultTwice},
		stepCall:    {faultFails, faultLoses, faultHangs},
		stepTake:    {faultCrashBefore, faultCrashAfter, faultTwice},
		stepSend:    {faultCrashBefore, faultCrashAfter, faultFails, faultLoses},
	}[s.kind]
	if s.keyed {
		all = append(all, faultLoses)
	}
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
	name    string         // the act, the subscription, the call, or the deployable that sends or takes in
	by      string         // the subscription behind a call
	module  string         // the module of a unit of work
	keyed   bool           // a client asks for the unit under an idempotency key
	client  int            // 2 or more for a further client: in the obvious schedule the clients come one after the other
	about   *journal.Event // nil for an act, and for a message without an event
	attempt int
	message string // the broker's position of the message that is taken in
	stopped bool   // the system is stopped during another process's act

	round int             // the round of decisions that saw the step first
	gone  <-chan struct{} // closed when the step ends without a turn; nil if the step cannot end so
	turn  chan fault
	done  chan struct{} // closed when the exclusive part of the step is over
}

// newStep returns a step for the goroutine that calls pass.
func newStep(kind stepKind, name string) *step {
	return &step{kind: kind, name: name, turn: make(chan fault, 1), done: make(chan struct{})}
}

// compare orders ready steps by age, equally in every run: by the log and never by a name, so that the obvious schedule
// handles events in the order of the log. Sending comes first: the moment of sending makes no difference, since the
// receiver takes the event in at any later time.
func (s *step) compare(o *step) int {
	return cmp.Or(
		cmp.Compare(s.patient(), o.patient()), cmp.Compare(s.client, o.client), cmp.Compare(s.round, o.round),
		cmp.Compare(s.kind, o.kind), cmp.Compare(s.seq(), o.seq()),
		cmp.Compare(s.String(), o.String()), cmp.Compare(s.number(), o.number()), cmp.Compare(s.message, o.message))
}

// number returns the number of the step's process, or 0 for a step outside of the system.
func (s *step) number() int {
	if s.life == nil {
		return 0
	}
	return s.life.deployable.number
}

// patient returns 0 for a step that must come next, and 2 for a step that the obvious schedule takes when no other step
// is ready.
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

// subject describes the event of a step, with the same words in every run.
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

// String returns the step's name in stories.
func (s *step) String() string {
	switch s.kind {
	case stepDo:
		if s.about != nil {
			return fmt.Sprintf("%s of %s runs a unit of work", s.name, s.subject())
		}
		return s.name
	case stepView:
		return s.name + " (read)"
	case stepBeside:
		return s.name
	case stepLook:
		return s.look()
	case stepDeliver:
		return fmt.Sprintf("%s gets %s", s.name, s.subject())
	case stepCall:
		return fmt.Sprintf("%s by %s of %s", s.name, s.by, s.subject())
	case stepTake:
		return fmt.Sprintf("%s takes in %s", s.name, s.subject())
	case stepSend:
		return fmt.Sprintf("%s sends %s", s.name, s.subject())
	default:
		return fmt.Sprintf("%s of %s", s.name, s.subject())
	}
}

// with returns the story's sentence for step s with fault f.
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

// site names the state that the step changes: a module, a service, or the sent or received messages of a deployable.
func (s *step) site() string {
	switch s.kind {
	case stepDo:
		return s.module
	case stepView:
		return "read by " + s.name
	case stepBeside, stepLook:
		return "beside"
	case stepCall:
		service, _, _ := strings.Cut(s.name, ".")
		return "service " + service
	case stepSend:
		return "sent by " + s.name
	case stepTake:
		return "taken in by " + s.name
	default:
		return journal.ModuleOf(s.name)
	}
}
