package sqlite

import (
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// watchCounts counts what the log has become longer by, and gives dead letters their cause.
func (j *Journal) watchCounts() {
	if j.tail.Newest() >= count.BlockSize || j.causesWait() {
		wake.Poke(j.count)
	}
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.count:
		}
		for more := true; more; {
			began := time.Now()
			err := j.writer.submit(j.ctx, &item{alone: func(c *sql.Conn) (err error) {
				if more, err = count.CountNext(j.ctx, c, &j.recent); err != nil {
					return err
				}
				letters, err := count.CauseNext(j.ctx, c, count.LetterBatch)
				more = more || letters
				return err
			}})
			if err != nil {
				if j.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
					j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "cannot count the journal: counts take longer to read until that works", slog.Any("error", err))
				}
				break
			}
			if more && !pause.For(j.ctx, countShare*time.Since(began)) {
				return
			}
		}
	}
}

// causesWait reports whether there are dead letters to be given their cause.
func (j *Journal) causesWait() (wait bool) {
	_ = j.View(j.ctx, func(tx *sql.Tx) (err error) { // otherwise the next block of the log, or the next deaths, find them
		wait, err = count.Causeless(j.ctx, tx, count.LetterBatch)
		return err
	})
	return wait
}

// died notes that a delivery became a dead letter. Only the writer's goroutine calls it.
func (j *Journal) died() {
	if j.deaths++; j.deaths%count.LetterBatch == 0 {
		wake.Poke(j.count)
	}
}

// countShare is how much longer than a step the pause behind it is, when there is much to be counted: a journal that
// comes from an older program is counted while it works.
const countShare = 4
