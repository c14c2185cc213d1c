package bustest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/troupebus/troupe/bus/journal"
)

// mostRefusals is the number of refusals in a row after which a test gives up. The journal tries ten times a second,
// and would go on for a year of virtual time.
const mostRefusals = 10_000

// refusals counts the store's refusals since the last accepted reaction.
type refusals struct {
	mu    sync.Mutex
	n     int
	last  error
	given bool          // stuck is closed
	stuck chan struct{} // closed after too many refusals
}

// note counts the result of a reaction.
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

// whenStuck calls end after too many refusals, unless stop is called before.
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

// after returns the reason why a test gave up: the limit, or the store's refusals with their cause.
func (r *refusals) after(limit any) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		if n, ok := limit.(int); ok {
			return fmt.Sprintf("%d steps", n)
		}
		return fmt.Sprint(limit)
	}
	return fmt.Sprintf("the store has refused %d reactions in a row (%v)", r.n, r.last)
}
