package wire

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Link is one direction of what goes between this deployable and the others, as it is now.
type Link struct {
	Topic  string    // whose events: the name of a module, or of the records
	Out    bool      // they are sent from here; otherwise they are taken in
	Err    error     // what is wrong, with what to do about it; nil when nothing is; ErrNotYet at first
	Since  time.Time // when Err came up; zero when nothing is wrong, and with ErrNotYet
	Behind int64     // with Out: events of the log that are still to be looked at

	Warning string // what may go wrong, though nothing is, with what to do about it; "" for nothing
}

// ErrNotYet is what a link says between its start and the answer of the transport to its first try.
var ErrNotYet = errors.New("wire: not connected yet: the first try is under way")

// Warn sets the warnings of links to what f says of their topics.
func Warn(links []Link, f Features) {
	if f.Warnings == nil {
		return
	}
	warnings := f.Warnings()
	for i := range links {
		links[i].Warning = warnings[links[i].Topic]
	}
}

// The pauses between tries while a transport is in trouble.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// tellAgain is how long the log hears nothing more of a trouble. What is wrong with a network reads differently at every try, if only
// because of the port that it names.
const tellAgain = time.Minute

// line keeps the state of a link, and says in the log when it changes: once for a trouble, not once for a try.
type line struct {
	topic  string
	out    bool
	logger *slog.Logger
	chance func() float64 // nil for that of math/rand/v2

	mu    sync.Mutex
	young bool // neither failed nor works was called, and that matters
	err   error
	since time.Time
	told  time.Time // when the log last heard of it
	tries int

	holds     error // what holds some messages up while the others go on
	heldSince time.Time
	heldTold  time.Time
}

// held notes what holds messages up, though others go on; nil is that nothing does.
func (l *line) held(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && l.holds != nil:
		l.logger.Info(l.what()+" is held up no more", slog.String("topic", l.topic), slog.Duration("after", now.Sub(l.heldSince).Round(time.Millisecond)))
	case err != nil && (l.holds == nil || now.Sub(l.heldTold) >= tellAgain):
		l.logger.Error(l.what()+" is held up in part", slog.String("topic", l.topic), slog.Any("error", err))
		l.heldTold = now
	}
	if l.holds == nil {
		l.heldSince = now
	}
	l.holds = err
}

// failed notes that a try went wrong, and returns how long to wait before the next one.
func (l *line) failed(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.err == nil || l.err.Error() != err.Error() && now.Sub(l.told) >= tellAgain {
		l.logger.Error(l.what()+" stands still, will try again", slog.String("topic", l.topic), slog.Any("error", err))
		l.told = now
	}
	if l.err == nil {
		l.since = now
	}
	l.err, l.young = err, false
	pause := min(firstPause<<min(l.tries, 10), lastPause)
	l.tries++
	chance := rand.Float64
	if l.chance != nil {
		chance = l.chance
	}
	return pause/2 + time.Duration(chance()*float64(pause/2))
}

// works notes that a try went well.
func (l *line) works() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		l.logger.Info(l.what()+" goes on", slog.String("topic", l.topic), slog.Duration("after", time.Since(l.since).Round(time.Millisecond)))
	}
	l.err, l.since, l.tries, l.young = nil, time.Time{}, 0, false
}

func (l *line) what() string {
	if l.out {
		return "the relay to the other deployables"
	}
	return "the ingest from the other deployables"
}

func (l *line) link() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.young {
		return Link{Topic: l.topic, Out: l.out, Err: ErrNotYet}
	}
	if l.err == nil && l.holds != nil {
		return Link{Topic: l.topic, Out: l.out, Err: l.holds, Since: l.heldSince}
	}
	return Link{Topic: l.topic, Out: l.out, Err: l.err, Since: l.since}
}
