package wire

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
)

// Link is the present state of a relay or an ingest.
type Link struct {
	Topic string    // the name of a module, or of the records
	Out   bool      // true for a relay, false for an ingest
	Err   error     // the present problem, with advice; nil without a problem; ErrNotYet at first
	Since time.Time // when Err began; zero without a problem, and with ErrNotYet
	Lag   int64     // of a relay: events of the log that the relay has yet to look at

	Warning string // a risk that is no problem yet, with advice; "" without a risk
}

// ErrNotYet is the Err of a link between the start and the answer of the transport to the first try.
var ErrNotYet = errors.New("wire: not connected yet: the first try is under way")

// Warn sets the warnings of links from the warnings of f about their topics.
func Warn(links []Link, f Features) {
	if f.Warnings == nil {
		return
	}
	warnings := f.Warnings()
	for i := range links {
		links[i].Warning = warnings[links[i].Topic]
	}
}

// The pauses between tries while a transport fails.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// linkState is the state of a link. The log gets a line when the state changes, not at every try.
type linkState struct {
	topic  string
	out    bool
	logger *slog.Logger
	chance func() float64 // nil for that of math/rand/v2

	mu      sync.Mutex
	untried bool // the link is to say ErrNotYet, because neither failed nor works was called
	err     error
	fails   *oncelog.Tries
	tries   int

	partial error // the reason why some messages wait while others are carried
	waits   oncelog.Problem
}

// held records err as the reason why some messages wait while others are carried. A nil error says that no message
// waits.
func (l *linkState) held(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = err
	if err != nil {
		if l.waits.Failed(time.Now()) > 0 {
			l.logger.Error(l.name()+" is partly blocked", slog.String("topic", l.topic), slog.Any("error", err))
		}
		return
	}
	if reports, lasted := l.waits.Over(time.Now()); reports > 0 {
		l.logger.Info(l.name()+" is no longer blocked", slog.String("topic", l.topic),
			slog.Duration("after", lasted.Round(time.Millisecond)))
	}
}

// failed records a failed try, and returns how long to wait before the next try.
func (l *linkState) failed(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails.Note(err)
	l.err, l.untried = err, false
	pause := min(firstPause<<min(l.tries, 10), lastPause)
	l.tries++
	chance := rand.Float64
	if l.chance != nil {
		chance = l.chance
	}
	return pause/2 + time.Duration(chance()*float64(pause/2))
}

// works records a successful try.
func (l *linkState) works() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails.Note(nil)
	l.err, l.tries, l.untried = nil, 0, false
}

func (l *linkState) name() string {
	if l.out {
		return "relay"
	}
	return "ingest"
}

func (l *linkState) link() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.untried {
		return Link{Topic: l.topic, Out: l.out, Err: ErrNotYet}
	}
	if l.err == nil && l.partial != nil {
		return Link{Topic: l.topic, Out: l.out, Err: l.partial, Since: l.waits.Since()}
	}
	return Link{Topic: l.topic, Out: l.out, Err: l.err, Since: l.fails.Since()}
}
