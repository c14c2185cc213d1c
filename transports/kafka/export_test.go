package kafka

import "time"

// WithPatience is c with another bound of how long trouble may last.
func (c Config) WithPatience(d time.Duration) Config {
	c.patience = d
	return c
}

// WithPrefix is c with another prefix.
func (c Config) WithPrefix(prefix string) Config {
	c.Prefix = prefix
	return c
}

// WithRest is c with another time that a producer may rest before its connections are closed.
func (c Config) WithRest(d time.Duration) Config {
	c.rest = d
	return c
}

// Patience is how long t waits for an answer now.
func (t *Transport) Patience() time.Duration { return t.patience() }

// Unanswered reports whether err is that of an answer for which the client did not wait long enough.
func Unanswered(err error) bool { return unanswered(err) }
