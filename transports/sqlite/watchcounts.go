package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// watchCounts counts new blocks of the log, and gives dead letters their cause.
func (j *Journal) watchCounts() {
	if j.tail.Newest() >= count.BlockSize || j.causesWait() {
		wake.Poke(j.count)
	}
	tries := oncelog.NewTries(j.cfg.Logger, "counting the journal", "meanwhile", "reading counts takes longer")
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.count:
		}
		for more := true; more; {
			began := time.Now()
			err := j.writer.Submit(j.ctx, &commit.Item{Alone: func(c *sql.Conn) (err error) {
				if more, err = count.CountNext(j.ctx, c, &j.recent); err != nil {
					return err
				}
				letters, err := count.CauseNext(j.ctx, c, count.LetterBatch)
				more = more || letters
				return err
			}})
			if j.ctx.Err() != nil || errors.Is(err, journal.ErrClosed) {
				return
			}
			if tries.Note(err); err != nil {
				break
			}
			if more && !pause.For(j.ctx, countShare*time.Since(began)) {
				return
			}
		}
	}
}

// causesWait reports whether enough dead letters wait for a cause.
func (j *Journal) causesWait() (wait bool) {
	_ = j.View(j.ctx, func(tx *sql.Tx) (err error) { // on an error, the next block or the next deaths find them
		wait, err = count.Causeless(j.ctx, tx, count.LetterBatch)
		return err
	})
	return wait
}

// died counts a new dead letter. Only the writer's goroutine may call it.
func (j *Journal) died() {
	if j.deaths++; j.deaths%count.LetterBatch == 0 {
		wake.Poke(j.count)
	}
}

// countShare is the length of the pause after a counting step, in lengths of the step. The journal of an older program
// has much to count: it works meanwhile.
const countShare = 4
