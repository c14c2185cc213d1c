package commit

import (
	"errors"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// disk is a log whose syncs wait, and fail.
type disk struct {
	asked chan struct{}
	allow chan error
}

func (d disk) Sync() error { d.asked <- struct{}{}; return <-d.allow }

func (disk) Close() error { return nil }

// A commit that was under way while the disk failed is answered too.
func TestCommitBehindAFailedSync(t *testing.T) {
	t.Parallel()
	d := disk{make(chan struct{}), make(chan error)}
	s := newSyncer(d, func(int64) { t.Error("made durable by a disk that failed") })
	it := &Item{Durable: true, Answer: make(chan error, 1)}
	s.begin()
	s.committed(1, []*Item{it})
	<-d.asked
	d.allow <- errors.New("input/output error")
	if err := <-it.Answer; !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the commit that was to be synced: %v", err)
	}
	s.begin()
	s.committed(2, []*Item{it})
	if err := <-it.Answer; !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the commit behind it: %v", err)
	}
}
