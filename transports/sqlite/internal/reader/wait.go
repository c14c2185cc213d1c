package reader

import (
	"context"
	"errors"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// The pauses between two looks at a flow.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// Wait waits until every subscription has answered every event of the flow id, or returns the error of ctx. "" is the
// id of work without events.
func Wait(ctx context.Context, r *Reader, id string) error {
	if id == "" {
		return nil
	}
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		flows, err := r.Flow(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && journal.AtRest(flows) {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
