package commit

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
	// sickFor is the time for which a refused commit counts. On an almost full disk, small commits succeed and larger ones
	// fail.
	sickFor = 3 * time.Second
	// stuckAfter is the maximum time of a group or its sync, longer than the limit of any work.
	stuckAfter = 15 * time.Second
	// recheckEvery is the interval at which a journal with a refused commit tries to write again.
	recheckEvery = time.Second
)

// health is the state of the writer. It is safe for concurrent use.
type health struct {
	refusal atomic.Pointer[refusal] // the newest
	writing atomic.Int64            // start of the current group in nanoseconds; 0 without a group
	sick    chan struct{}           // capacity 1: a commit was refused
}

// refusal is an error of the store.
type refusal struct {
	err  error
	at   time.Time
	over atomic.Bool // a later commit succeeded
}

// note records the result of a group.
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

// Refuses reports whether the last group was refused.
func (h *health) refuses() bool {
	r := h.refusal.Load()
	return r != nil && !r.over.Load()
}

// check returns the reason why the journal cannot write, or nil.
func (h *health) check(now time.Time) error {
	if r := h.refusal.Load(); r != nil && (!r.over.Load() || now.Sub(r.at) < sickFor) {
		return r.err
	}
	return stuck("write", h.writing.Load(), now)
}

// stuck returns an error when a write or sync takes too long. since is its start in nanoseconds, or 0.
func stuck(what string, since int64, now time.Time) error {
	if long := now.Sub(time.Unix(0, since)); since > 0 && long > stuckAfter {
		return fmt.Errorf("%w: a %s has been under way for %v: the disk or the file system may hang", journal.ErrUnavailable, what, long.Round(time.Second))
	}
	return nil
}

// under records the start of a write or sync. end records the end.
func under(since *atomic.Int64) (end func()) {
	since.Store(time.Now().UnixNano())
	return func() { since.Store(0) }
}

// Health returns the reason why the writer cannot write, or nil: the last commit was refused, or one in the last three
// seconds was, or a write hangs. It writes nothing, never waits, and may be called at any time.
func (w *Writer) Health(now time.Time) error {
	if err := w.sync.health(); err != nil {
		return err
	}
	if err := w.health.check(now); err != nil {
		return err
	}
	return stuck("sync", w.sync.syncing.Load(), now)
}

// Refuses reports whether the store refused the last group.
func (w *Writer) Refuses() bool { return w.health.refuses() }

// rewrite changes nothing, but is written, committed and synced: a full disk refuses it.
const rewrite = `UPDATE migrations SET applied_at = applied_at WHERE rowid = (SELECT min(rowid) FROM migrations)`

// Recheck retries a write while the store refuses commits, until ctx ends: without other writes, Health would not see
// the end of the problem.
func (w *Writer) Recheck(ctx context.Context) {
	for {
		select {
		case <-w.health.sick:
		case <-ctx.Done():
			return
		}
		for {
			pause := time.NewTimer(recheckEvery)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
			if !w.health.refuses() {
				break
			}
			_ = w.Submit(ctx, &Item{Work: journal.Work{Name: "journal"}, Run: func(u *Unit) error {
				if _, err := u.Tx().ExecContext(context.Background(), rewrite); err != nil {
					return u.Refuse(err)
				}
				return nil
			}})
		}
	}
}

// Pauses between two tries of a journal that cannot write.
const (
	firstTryPause   = 100 * time.Millisecond
	longestTryPause = 2 * time.Second
)

// Writable returns when the store accepts work, or with ctx's error.
func (w *Writer) Writable(ctx context.Context) error {
	for pause := firstTryPause; w.health.refuses() || w.sync.health() != nil; pause = min(2*pause,
		longestTryPause) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err := w.Submit(ctx, &Item{Work: journal.Work{Name: "journal"}, Run: func(u *Unit) error {
			_, _, err := w.kept.trial.Exec()
			return u.Refuse(err)
		}})
		if err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrFailed) {
			return err
		}
	}
	return nil
}
