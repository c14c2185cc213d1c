package story

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// What a step may do.
const (
	Start        = "start"   // an owner on the journal; Mood is its Synchronous
	Stop         = "stop"    // the owner, with SIGTERM
	Kill         = "kill"    // the owner, with SIGKILL
	Freeze       = "freeze"  // the owner, with SIGSTOP, For a while
	Publish      = "publish" // Calls requests of Count events each
	Work         = "work"    // the same as units of work with rows of their own
	Heal         = "heal"    // the sick handlers; with Mood they fall sick again
	Command      = "command" // a person runs troupe with Args
	Foreign      = "foreign" // somebody else's transaction with Count events stays open For a while
	Read         = "reader"  // a snapshot is held For a while
	Weather      = "weather" // the disk has the weather Mood For a while
	SecondOwner  = "second"  // another process tries to own the journal, by the name that Mood says
	RemoveFiles  = "remove"  // the journal's files are deleted
	MoveFiles    = "move"    // the journal's files go to another folder
	RemoveLock   = "unlock"  // the lock file is deleted
	LinkLock     = "lure"    // the lock file is made a symbolic link to a file of somebody else
	CopyDatabase = "copied"  // somebody copies the database file alone, and starts an owner on the copy
	Finish       = "finish"  // all that goes on beside the steps ends first
	Network      = "wire"    // what lies between victims and their broker is Mood For a while
	Meddle       = "meddle"  // somebody does what Mood says at the broker
	StepClock    = "clock"   // the wall clock, of all processes or of Key, is Ahead of the right one from now on
	PlaceOrders  = "order"   // Calls orders are placed at the deployable Key of the shop
)

// Names for a second owner.
const (
	SameName = "same"
	Symlink  = "symlink"
	Hardlink = "hardlink"
)

// Step is one thing that somebody does. Times are in milliseconds.
type Step struct {
	Do    string   `json:"do"`
	Key   string   `json:"key,omitempty"`
	N     int      `json:"n,omitempty"` // the number of the first event
	Count int      `json:"count,omitempty"`
	Calls int      `json:"calls,omitempty"`
	Size  int      `json:"size,omitempty"`  // of each event
	After int      `json:"after,omitempty"` // the events are delayed by so much
	Ahead int      `json:"ahead,omitempty"` // seconds, negative when the clock is behind
	Mood  string   `json:"mood,omitempty"`
	Args  []string `json:"args,omitempty"`
	For   int      `json:"for,omitempty"`
	Wait  int      `json:"wait,omitempty"` // before the next step
}

// String tells the step as a line of a story.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.what())
	if s.For > 0 {
		fmt.Fprintf(&b, " for %d ms", s.For)
	}
	if s.Wait > 0 {
		fmt.Fprintf(&b, "; %d ms later:", s.Wait)
	}
	return b.String()
}

func (s Step) what() string {
	who := "the owner"
	if s.Key != "" {
		who = "the " + s.Key
	}
	switch s.Do {
	case Start:
		if s.Key == Symlink {
			return "the owner starts by a symbolic link " + s.Mood
		}
		return strings.TrimSpace(who + " starts " + s.Mood)
	case Stop:
		return who + " is stopped"
	case Kill:
		return who + " is killed"
	case Freeze:
		return who + " is frozen"
	case PlaceOrders:
		return fmt.Sprintf("%d orders are placed at %s", max(s.Calls, 1), s.Key)
	case Publish:
		return "somebody publishes " + s.events()
	case Work:
		return "units of work emit " + s.events()
	case Heal:
		return "what is sick gets well" + map[bool]string{true: ", no: it falls sick again"}[s.Mood != ""]
	case Command:
		line := "a person runs troupe " + strings.Join(s.Args, " ")
		if s.For > 0 {
			line += ", which is killed when it has run"
		}
		return line
	case Foreign:
		return "a foreign transaction publishes " + s.events() + " and stays open"
	case Read:
		return "a reader holds a snapshot"
	}
	return s.around(who)
}

// around tells what a step does to what is around the processes.
func (s Step) around(who string) string {
	switch s.Do {
	case Weather:
		return "the disk: " + s.Mood
	case Meddle:
		return "somebody meddles with the broker: " + s.Mood
	case Network:
		return "the wire: " + s.Mood
	case SecondOwner:
		return "a second owner comes, by the name: " + s.Mood
	case LinkLock:
		return "the lock file becomes a symbolic link to another file"
	case CopyDatabase:
		return "the database file alone is copied, and an owner starts on the copy"
	case StepClock:
		return s.clock(who)
	case Finish:
		return "everybody waits until the others have ended"
	case RemoveFiles:
		return "the journal's files are removed"
	case MoveFiles:
		return "the journal's files are moved to another folder"
	case RemoveLock:
		return "the lock file is removed"
	}
	return s.Do
}

// clock tells how a step of the clock is seen.
func (s Step) clock(who string) string {
	line := fmt.Sprintf("the clock is %v ahead", time.Duration(s.Ahead)*time.Second)
	if s.Key != "" {
		line += " at " + who
	}
	return line
}

// events tells which events a step emits.
func (s Step) events() string {
	events := fmt.Sprintf("%d × %d events of key %s, from number %d on", max(s.Calls, 1), max(s.Count, 1), s.Key, s.N)
	if s.Mood != "" {
		events += ", mood " + s.Mood
	}
	if s.Size > 0 {
		events += fmt.Sprintf(", %d bytes each", s.Size)
	}
	if s.After > 0 {
		events += fmt.Sprintf(", delayed by %d ms", s.After)
	}
	return events
}

// Schedule is what happens in a run: nothing but data, so that it can be replayed.
type Schedule struct {
	Seed  uint64 `json:"seed"`
	Kind  string `json:"kind"`
	Steps []Step `json:"steps"`
}

// Line is s as one line of JSON.
func (s Schedule) Line() string {
	b, err := json.Marshal(s)
	if err != nil { // it holds nothing that cannot be encoded
		panic(err)
	}
	return string(b)
}

// ParseSchedule reads what Line wrote.
func Parse(line string) (Schedule, error) {
	var s Schedule
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return s, fmt.Errorf("torture: not a schedule: %w", err)
	}
	return s, nil
}

// End is a moment of every clock by which everything that was delayed is due, told as by how much the clock is ahead.
func (s Schedule) End() time.Duration {
	ahead, after := 0, 0
	for _, step := range s.Steps {
		ahead, after = max(ahead, step.Ahead), max(after, step.After)
	}
	return time.Duration(ahead)*time.Second + time.Duration(after)*time.Millisecond + time.Minute
}

// Payload returns the bytes of all large events of the schedule. The owner's own publishers hold them until they are answered: each as
// its payload, as JSON, and as the statement's copy.
func (s Schedule) Payload() (bytes int64) {
	for _, step := range s.Steps {
		bytes += int64(step.Size) * int64(max(step.Count, 1)*max(step.Calls, 1))
	}
	return bytes
}
