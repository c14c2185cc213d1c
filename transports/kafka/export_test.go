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
