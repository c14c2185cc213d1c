package wire

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/pause"
)

// claimEvery is the pause between two claims, and so the longest time until the older of two processes stops.
const claimEvery = 5 * time.Second

// ClaimFunc records at the backend, for topic, that this process sends for the journal of m. ClaimFunc returns an
// ErrReplaced when a process that started later has claimed the same journal. A process that only sends claims at the
// start, and again every few seconds.
type ClaimFunc func(ctx context.Context, topic string, m journal.Memory) error

// KeepClaim calls claim until ctx ends, and then returns nil. KeepClaim returns an ErrReplaced when another process
// has taken over. Other errors are retried, and logged at most once an hour: the relays log problems with the backend.
func KeepClaim(ctx context.Context, claim ClaimFunc, topic string, m journal.Memory, logger *slog.Logger) error {
	var logged time.Time
	for {
		err := claim(ctx, topic, m)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrReplaced):
			logger.LogAttrs(ctx, slog.LevelError, "another process sends for this journal, stopping this process",
				slog.Any("error", err))
			return err
		case err != nil && (logged.IsZero() || time.Since(logged) >= time.Hour):
			logged = time.Now()
			logger.LogAttrs(ctx, slog.LevelWarn, "cannot check whether another process sends for a copy of this journal",
				slog.Any("error", err))
		}
		if !pause.For(ctx, claimEvery) {
			return nil
		}
	}
}
