package bus

import "time"

// Retry is the retry policy of a subscription. The zero value works. By the defaults, the attempts of a transactional
// handler span 13 seconds, and of an external handler 5 hours.
type Retry struct {
	// Attempts is the number of attempts before an event becomes a dead letter. Defaults to 8, or to 46
	// for an external handler; -1 means a single attempt.
	Attempts int
	// First is the pause before the second attempt. Defaults to 100 ms.
	First time.Duration
	// Max is the longest pause. Defaults to 1 minute, or to 10 minutes for an external handler.
	Max time.Duration
	// Factor multiplies the pause after each attempt. Defaults to 2.
	Factor float64
	// Jitter is the random part of each pause, from 0 to 1, so that events that failed together are not retried together.
	// Defaults to 0.2; -1 turns jitter off.
	Jitter float64
}
