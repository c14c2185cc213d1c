package react

import (
	"errors"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/journal"
)

// A retry is due a pause after the moment that is recorded as the end of its attempt, whatever the clock does in between: the journal
// bounds the wait by that pause when the clock is put back.
func TestARetryIsDueAPauseAfterItsAttempt(t *testing.T) {
	t.Parallel()
	p := &Policy{Engine: &Engine{}, Retry: backoff.Policy{Attempts: 2}}
	started := time.Now().Add(time.Hour) // by a clock that was put back during the attempt
	for _, pause := range []time.Duration{0, 15 * time.Second} {
		v := p.verdict(&journal.Delivery{Attempt: 1}, started, RetryAfter(pause, errors.New("busy")))
		if got := v.RetryAt.Sub(v.Started.Add(v.Duration)); v.Outcome != journal.Retrying || got != pause {
			t.Errorf("%s, due %v after its attempt, want %v", v.Outcome, got, pause)
		}
	}
}
