package torture

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// What a step may do.
const (
	start   = "start"   // an owner on the journal; Mood is its Synchronous
	stop    = "stop"    // the owner, with SIGTERM
	kill    = "kill"    // the owner, with SIGKILL
	freeze  = "freeze"  // the owner, with SIGSTOP, For a while
	publish = "publish" // Calls requests of Count events each
	work    = "work"    // the same as units of work with rows of their own
	heal    = "heal"    // the sick handlers; with Mood they fall sick again
	command = "command" // a person runs troupe with Args
	foreign = "foreign" // somebody else's transaction with Count events stays open For a while
	reader  = "reader"  // a snapshot is held For a while
	weather = "weather" // the disk has the weather Mood For a while
	second  = "second"  // another process tries to own the journal, by the name that Mood says
	remove  = "remove"  // the journal's files are deleted
	move    = "move"    // the journal's files go to another folder
	unlock  = "unlock"  // the lock file is deleted
	lure    = "lure"    // the lock file is made a symbolic link to a file of somebody else
	copied  = "copied"  // somebody copies the database file alone, and starts an owner on the copy
	finish  = "finish"  // all that goes on beside the steps ends first
	wire    = "wire"    // what lies between victims and their broker is Mood For a while
	meddle  = "meddle"  // somebody does what Mood says at the broker
	clock   = "clock"   // the wall clock, of all processes or of Key, is Ahead of the right one from now on
	order   = "order"   // Calls orders are placed at the deployable Key of the shop
)

// Names for a second owner.
const (
	same     = "same"
	symlink  = "symlink"
	hardlink = "hardlink"
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
	case start:
		if s.Key == symlink {
			return "the owner starts by a symbolic link " + s.Mood
		}
		return strings.TrimSpace(who + " starts " + s.Mood)
	case stop:
		return who + " is stopped"
	case kill:
		return who + " is killed"
	case freeze:
		return who + " is frozen"
	case order:
		return fmt.Sprintf("%d orders are placed at %s", max(s.Calls, 1), s.Key)
	case publish:
		return "somebody publishes " + s.events()
	case work:
		return "units of work emit " + s.events()
	case heal:
		return "what is sick gets well" + map[bool]string{true: ", no: it falls sick again"}[s.Mood != ""]
	case command:
		line := "a person runs troupe " + strings.Join(s.Args, " ")
		if s.For > 0 {
			line += ", which is killed when it has run"
		}
		return line
	case foreign:
		return "a foreign transaction publishes " + s.events() + " and stays open"
	case reader:
		return "a reader holds a snapshot"
	}
	return s.around(who)
}

// around tells what a step does to what is around the processes.
func (s Step) around(who string) string {
	switch s.Do {
	case weather:
		return "the disk: " + s.Mood
	case meddle:
		return "somebody meddles with the broker: " + s.Mood
	case wire:
		return "the wire: " + s.Mood
	case second:
		return "a second owner comes, by the name: " + s.Mood
	case lure:
		return "the lock file becomes a symbolic link to another file"
	case copied:
		return "the database file alone is copied, and an owner starts on the copy"
	case clock:
		return s.clock(who)
	case finish:
		return "everybody waits until the others have ended"
	case remove:
		return "the journal's files are removed"
	case move:
		return "the journal's files are moved to another folder"
	case unlock:
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
func ParseSchedule(line string) (Schedule, error) {
	var s Schedule
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return s, fmt.Errorf("torture: not a schedule: %w", err)
	}
	return s, nil
}
