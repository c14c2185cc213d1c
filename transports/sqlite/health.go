package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

const (
	// sickFor is how long a refused commit is remembered. On a disk that is all but full, what is small is still
	// written, and what is larger is not.
	sickFor = 3 * time.Second
	// stuckAfter is how long one group of work, or its sync, may take: longer than any work may hold the transaction.
	stuckAfter = 15 * time.Second
	// recheckEvery is how often a journal that refused a commit tries whether it can write again.
	recheckEvery = time.Second
)

// health is what the writer knows of itself, for whoever asks at any time.
type health struct {
	refusal atomic.Pointer[refusal] // the newest
	writing atomic.Int64            // since when a group is being written, in nanoseconds; 0 when none is
	sick    chan struct{}           // capacity 1: a commit was refused
}

// refusal is an error of the store.
type refusal struct {
	err  error
	at   time.Time
	over atomic.Bool // a later commit went well
}

// note takes in how a group ended.
func (h *health) note(err error) {
	was := h.refusal.Load()
	if err == nil {
		if was != nil && !was.over.Load() {
			was.over.Store(true)
		}
		return
	}
	h.refusal.Store(&refusal{err: err, at: time.Now()})
	wake.Poke(h.sick)
}

// refuses reports whether the newest group was refused.
func (h *health) refuses() bool {
	r := h.refusal.Load()
	return r != nil && !r.over.Load()
}

// check is why nothing can be written, or nil.
func (h *health) check(now time.Time) error {
	if r := h.refusal.Load(); r != nil && (!r.over.Load() || now.Sub(r.at) < sickFor) {
		return r.err
	}
	return stuck("write", h.writing.Load(), now)
}

// stuck is an error for what has been under way for too long, since a time in nanoseconds; 0 is not at all.
func stuck(what string, since int64, now time.Time) error {
	if long := now.Sub(time.Unix(0, since)); since > 0 && long > stuckAfter {
		return fmt.Errorf("%w: a %s has been under way for %v: the disk or the file system may hang", journal.ErrUnavailable, what, long.Round(time.Second))
	}
	return nil
}

// under notes that a write or a sync is under way until the function that it returns is called.
func under(since *atomic.Int64) (end func()) {
	since.Store(time.Now().UnixNano())
	return func() { since.Store(0) }
}

// Health says why the journal cannot write at the moment, or nil: the last commit was refused, or one within the last
// three seconds was, or a write hangs. It writes nothing, waits for nothing, and may be called at any time.
func (j *Journal) Health() error {
	if err := j.sync.health(); err != nil {
		return err
	}
	now := time.Now()
	if err := j.writer.health.check(now); err != nil {
		return err
	}
	return stuck("sync", j.sync.syncing.Load(), now)
}

// rewrite changes nothing, and is written, committed and synced all the same: a full disk does not hide from it.
const rewrite = `UPDATE migrations SET applied_at = applied_at WHERE rowid = (SELECT min(rowid) FROM migrations)`

// watchHealth tries, while the store refuses commits, whether it still does: when nobody else writes, Health would
// never know that the trouble is over.
func (j *Journal) watchHealth() {
	for {
		select {
		case <-j.writer.health.sick:
		case <-j.ctx.Done():
			return
		}
		for {
			pause := time.NewTimer(recheckEvery)
			select {
			case <-pause.C:
			case <-j.ctx.Done():
				pause.Stop()
				return
			}
			if !j.writer.health.refuses() {
				break
			}
			_ = j.writer.submit(j.ctx, &item{work: journal.Work{Name: "journal"}, run: func(u *unit) error { // its outcome is noted
				if _, err := u.Tx().ExecContext(context.Background(), rewrite); err != nil {
					u.failed = err
				}
				return nil
			}})
		}
	}
}

// Between two tries of a journal that cannot write, to find out whether it can again.
const (
	firstTryPause   = 100 * time.Millisecond
	longestTryPause = 2 * time.Second
)

// Writable implements journal.Journal.
func (j *Journal) Writable(ctx context.Context) error {
	for pause := firstTryPause; j.writer.health.refuses() || j.sync.health() != nil; pause = min(2*pause, longestTryPause) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err := j.writer.submit(ctx, &item{work: journal.Work{Name: "journal"}, run: func(u *unit) error {
			_, _, err := u.w.kept.trial.exec()
			return u.refuse(err)
		}})
		if err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrFailed) {
			return err
		}
	}
	return nil
}
