package wire

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/pause"
)

// claimEvery is how often a claim is renewed, and with it the time in which the older of two processes stops.
const claimEvery = 5 * time.Second

// ClaimFunc notes at the carrier, beside topic, that this process sends for the journal of m, and returns an ErrReplaced when another
// process, which started later, does so for the same journal. Who only sends calls it at the start, and again every few seconds.
type ClaimFunc func(ctx context.Context, topic string, m journal.Memory) error

// KeepClaim calls claim until ctx ends, which is no error. It returns ErrReplaced when another process has taken over. What else goes
// wrong is tried again, and is in the log once: the relays say what is wrong with a carrier.
func KeepClaim(ctx context.Context, claim ClaimFunc, topic string, m journal.Memory, logger *slog.Logger) error {
	var told time.Time
	for {
		err := claim(ctx, topic, m)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrReplaced):
			logger.LogAttrs(ctx, slog.LevelError, "another process sends for this journal: this one stops", slog.Any("error", err))
			return err
		case err != nil && (told.IsZero() || time.Since(told) >= time.Hour):
			told = time.Now()
			logger.LogAttrs(ctx, slog.LevelWarn, "cannot tell whether another process sends for a copy of this journal", slog.Any("error", err))
		}
		if !pause.For(ctx, claimEvery) {
			return nil
		}
	}
}
