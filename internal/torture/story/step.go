// Package story describes runs of the torture test. A Schedule lists the steps of a run as data: Draw makes a
// Schedule from a seed, Line and Parse write and read it, Text prints it as a story, and Shrink looks for a shorter
// Schedule with the same finding.
package story

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Values of Step.Do.
const (
	Start        = "start"   // starts an owner on the journal; Mood is its Synchronous
	Stop         = "stop"    // ends the owner with SIGTERM
	Kill         = "kill"    // ends the owner with SIGKILL
	Freeze       = "freeze"  // stops the owner with SIGSTOP, For a while
	Publish      = "publish" // makes Calls requests for Count events each
	Work         = "work"    // makes the same requests as units of work with rows of their own
	Heal         = "heal"    // heals the sick handlers; with a Mood, they fall sick again
	Command      = "command" // runs troupe with Args
	Foreign      = "foreign" // publishes Count events in a foreign transaction, which stays open For a while
	Read         = "reader"  // holds a snapshot For a while
	Weather      = "weather" // sets the disk to the weather Mood For a while
	SecondOwner  = "second"  // starts another owner of the journal, by the name that Mood says
	RemoveFiles  = "remove"  // deletes the journal's files
	MoveFiles    = "move"    // moves the journal's files to another folder
	RemoveLock   = "unlock"  // deletes the lock file
	LinkLock     = "lure"    // replaces the lock file by a symbolic link to a foreign file
	CopyDatabase = "copied"  // copies the database file alone, and starts an owner on the copy
	Finish       = "finish"  // waits until all background work has ended
	Network      = "wire"    // sets the network to the state Mood For a while
	Meddle       = "meddle"  // causes the fault Mood at the broker
	Bait         = "bait"    // puts the foreign files Mood beside a journal that does not exist yet
	StepClock    = "clock"   // sets the wall clock of all processes, or of process Key, to be Ahead of the real time
	PlaceOrders  = "order"   // places Calls orders at the deployable Key of the shop

	// CheckSettings runs troupe check with the settings files Args, whose relation is Mood.
	CheckSettings = "settings"
	// CheckSplit runs troupe split --check for the module Args[0], after the statements Args[2:]. With Mood Tied, the
	// statements create the object Args[1], which ties the module to other tables.
	CheckSplit = "tie"
)

// Relations of two settings files; "" for files that fit together.
const (
	Apart = "apart" // the deployables use different backends
	Clash = "clash" // on one host, the deployables would use the same file or address
)

// Tied is the mood of a step CheckSplit whose object prevents a split.
const Tied = "tied"

// Names by which a second owner opens the journal.
const (
	SameName = "same"
	Symlink  = "symlink"
	Hardlink = "hardlink"
)

// Foreign files beside a journal.
const (
	Parts = "parts" // files with names like the parts of the journal
	Log   = "log"   // the log of another journal
)

// Step is a step of a schedule. Times are in milliseconds, unless a field says otherwise.
type Step struct {
	Do    string   `json:"do"`
	Key   string   `json:"key,omitempty"`
	N     int      `json:"n,omitempty"` // number of the first event
	Count int      `json:"count,omitempty"`
	Calls int      `json:"calls,omitempty"`
	Size  int      `json:"size,omitempty"`  // bytes of each event
	After int      `json:"after,omitempty"` // delay of the events
	Ahead int      `json:"ahead,omitempty"` // seconds; negative for a clock that is late
	Mood  string   `json:"mood,omitempty"`
	Args  []string `json:"args,omitempty"`
	For   int      `json:"for,omitempty"`
	Wait  int      `json:"wait,omitempty"` // pause before the next step
}

// String returns the step as a line of a story.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.line())
	if s.For > 0 {
		fmt.Fprintf(&b, " for %d ms", s.For)
	}
	if s.Wait > 0 {
		fmt.Fprintf(&b, "; %d ms later:", s.Wait)
	}
	return b.String()
}

func (s Step) line() string {
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
		return "a publisher publishes " + s.events()
	case Work:
		return "units of work emit " + s.events()
	case Heal:
		return map[bool]string{true: "the handlers fall sick again", false: "the sick handlers are healed"}[s.Mood != ""]
	case Command:
		line := "a person runs troupe " + strings.Join(s.Args, " ")
		if s.For > 0 {
			line += ", killed after running"
		}
		return line
	case Foreign:
		return "a foreign transaction publishes " + s.events() + " and stays open"
	case Read:
		return "a reader holds a snapshot"
	}
	return s.environment(who)
}

// environment returns the text of a step that changes the environment of the processes.
func (s Step) environment(who string) string {
	switch s.Do {
	case Weather:
		return "the disk: " + s.Mood
	case Meddle:
		return "a fault at the broker: " + s.Mood
	case Network:
		return "the network: " + s.Mood
	case SecondOwner:
		return "a second owner starts, by the name: " + s.Mood
	case LinkLock:
		return "the lock file becomes a symbolic link to another file"
	case CheckSettings:
		return fmt.Sprintf("a person checks settings %q, relation %q", s.Args, s.Mood)
	case CheckSplit:
		return fmt.Sprintf("a person runs split --check for module %s %s, after: %s", s.Args[0], s.Mood, strings.Join(s.Args[2:], "; "))
	case Bait:
		return "foreign files are beside the new journal: " + s.Mood
	case CopyDatabase:
		return "the database file alone is copied, and an owner starts on the copy"
	case StepClock:
		return s.clock(who)
	case Finish:
		return "the run waits for all background work"
	case RemoveFiles:
		return "the journal's files are removed"
	case MoveFiles:
		return "the journal's files are moved to another folder"
	case RemoveLock:
		return "the lock file is removed"
	}
	return s.Do
}

// clock returns the text of a step of the clock.
func (s Step) clock(who string) string {
	line := fmt.Sprintf("the clock is %v ahead", time.Duration(s.Ahead)*time.Second)
	if s.Key != "" {
		line += " at " + who
	}
	return line
}

// events returns the text about the events that a step emits.
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

// Schedule describes a run. A Schedule is only data, so that the run can be repeated.
type Schedule struct {
	Seed  uint64 `json:"seed"`
	Kind  string `json:"kind"`
	Steps []Step `json:"steps"`
}

// Line returns s as a line of JSON, which a shell and make take in single quotes.
func (s Schedule) Line() string {
	b, err := json.Marshal(s)
	if err != nil { // every Schedule can be encoded
		panic(err)
	}
	return strings.NewReplacer("'", `\u0027`, "$", `\u0024`).Replace(string(b))
}

// Parse reads a line that Line wrote.
func Parse(line string) (Schedule, error) {
	var s Schedule
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return s, fmt.Errorf("torture: not a schedule: %w", err)
	}
	return s, nil
}

// End returns how far ahead of the real time a clock must be for all delayed events of s to be due, whatever steps
// the clock has made before.
func (s Schedule) End() time.Duration {
	ahead, after := 0, 0
	for _, step := range s.Steps {
		ahead, after = max(ahead, step.Ahead), max(after, step.After)
	}
	return time.Duration(ahead)*time.Second + time.Duration(after)*time.Millisecond + time.Minute
}

// Payload returns the bytes of all large events of the schedule. The owner's publishers hold each event until the
// answer comes: as its payload, as JSON, and as the statement's copy.
func (s Schedule) Payload() (bytes int64) {
	for _, step := range s.Steps {
		bytes += int64(step.Size) * int64(max(step.Count, 1)*max(step.Calls, 1))
	}
	return bytes
}
