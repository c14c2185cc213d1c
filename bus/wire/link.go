package wire

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
)

// Link is one direction of what goes between this deployable and the others, as it is now.
type Link struct {
	Topic string    // whose events: the name of a module, or of the records
	Out   bool      // they are sent from here; otherwise they are taken in
	Err   error     // what is wrong, with what to do about it; nil when nothing is; ErrNotYet at first
	Since time.Time // when Err came up; zero when nothing is wrong, and with ErrNotYet
	Lag   int64     // with Out: events of the log that are still to be looked at

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

// line keeps the state of a link, and says in the log when it changes: once for a trouble, not once for a try.
type line struct {
	topic  string
	out    bool
	logger *slog.Logger
	chance func() float64 // nil for that of math/rand/v2

	mu    sync.Mutex
	young bool // neither failed nor works was called, and that matters
	err   error
	fails oncelog.Problem
	tries int

	partly error // the reason why some messages wait while the others go on
	waits  oncelog.Problem
}

// held records err as the reason why some messages wait while the others go on. With a nil error no message waits any more.
func (l *line) held(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partly = err
	if err != nil {
		if l.waits.Failed(time.Now()) > 0 {
			l.logger.Error(l.name()+" is held up in part", slog.String("topic", l.topic), slog.Any("error", err))
		}
		return
	}
	if reports, lasted := l.waits.Over(time.Now()); reports > 0 {
		l.logger.Info(l.name()+" is held up no more", slog.String("topic", l.topic), slog.Duration("after", lasted.Round(time.Millisecond)))
	}
}

// failed records a failed try, and returns how long to wait before the next try.
func (l *line) failed(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tries := l.fails.Failed(time.Now()); tries > 0 {
		l.logger.Error(l.name()+" failed, retrying", slog.String("topic", l.topic), slog.Int("tries", tries), slog.Any("error", err))
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

// works records a successful try.
func (l *line) works() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		if tries, lasted := l.fails.Over(time.Now()); tries > 0 {
			l.logger.Info(l.name()+" works again", slog.String("topic", l.topic), slog.Int("tries", tries),
				slog.Duration("after", lasted.Round(time.Millisecond)))
		}
	}
	l.err, l.tries, l.young = nil, 0, false
}

func (l *line) name() string {
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
	if l.err == nil && l.partly != nil {
		return Link{Topic: l.topic, Out: l.out, Err: l.partly, Since: l.waits.Since()}
	}
	return Link{Topic: l.topic, Out: l.out, Err: l.err, Since: l.fails.Since()}
}
