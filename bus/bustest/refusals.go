package bustest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/troupebus/troupe/bus/journal"
)

// mostRefusals is how often the store may refuse reactions, one after the other, before a test gives up: the journal tries ten
// times a second, and would go on for a year of virtual time.
const mostRefusals = 10_000

// refusals counts the reactions that the store refused since it last took one.
type refusals struct {
	mu    sync.Mutex
	n     int
	last  error
	given bool          // stuck is closed
	stuck chan struct{} // closed when there were too many
}

// note counts the outcome of one reaction.
func (r *refusals) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, journal.ErrUnavailable) {
		if err == nil {
			r.n, r.last = 0, nil
		}
		return
	}
	if r.n, r.last = r.n+1, err; r.n >= mostRefusals && !r.given {
		r.given = true
		close(r.stuck)
	}
}

// whenStuck calls end when the store has refused too often, until stop is called.
func (r *refusals) whenStuck(end func()) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-r.stuck:
			end()
		case <-over:
		}
	}()
	return func() { close(over) }
}

// after says after what a test gave up: its limit, or the store's refusals and their cause.
func (r *refusals) after(limit any) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		if n, ok := limit.(int); ok {
			return fmt.Sprintf("%d steps", n)
		}
		return fmt.Sprint(limit)
	}
	return fmt.Sprintf("the store has refused %d reactions, one after the other (%v)", r.n, r.last)
}
