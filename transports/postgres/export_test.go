package postgres

import (
	"context"
	"time"
)

// WithHeldUp changes how long a transaction may hold up messages before it is reported.
func (c Config) WithHeldUp(d time.Duration) Config {
	c.heldUp = d
	return c
}

// Patient reports nothing as held up for a minute, if WithHeldUp has not said when: tests share a server with others, which write much.
func (c Config) Patient() Config {
	if c.heldUp == 0 {
		c.heldUp = time.Minute
	}
	return c
}

// Prune deletes what may go now.
func (t *Transport) Prune(topic string) error { return t.prune(topic) }

// Setting is a setting as the connections have it that publish.
func (t *Transport) Setting(ctx context.Context, name string) (value string, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}
