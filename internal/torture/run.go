package torture

import (
	"context"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/owner"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// run runs a schedule. One goroutine runs its steps; work that takes long runs in the background.
type run struct {
	machine  *Machine
	schedule story.Schedule
	ctx      context.Context
	folder   string
	path     string // path of the journal
	outside  string
	disk     *disk.Disk
	clock    *disk.Clock // clock of all processes; nil is the real clock
	owner    *owner.Owner
	started  int
	gone     time.Time // when the journal's files were removed or moved

	beside  sync.WaitGroup // commands, foreign transactions, readers, weather
	answers sync.WaitGroup // answers to publishers
	spells  int            // number of weather steps so far; guarded by the model's mu
	model
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// play runs all steps, and waits until the journal is at rest.
func (r *run) play() {
	for i, step := range r.schedule.Steps {
		if r.ctx.Err() != nil {
			return
		}
		r.step(i, step)
	}
	r.settle()
}

// step runs a step, and waits as the step says.
func (r *run) step(i int, s story.Step) {
	r.done(s)
	r.carry(i, s)
	pause.For(r.ctx, millis(s.Wait))
}

func (r *run) carry(i int, s story.Step) {
	switch s.Do {
	case story.Start:
		r.start(s)
	case story.Stop:
		if r.owner != nil {
			r.stopOwner()
		}
	case story.Kill:
		if r.owner != nil {
			r.owner.Kill()
			r.owner = nil
		}
	case story.Freeze:
		if r.owner != nil {
			r.owner.Freeze(millis(s.For))
		}
	case story.Publish, story.Work:
		r.publish(s)
	case story.Heal:
		if r.owner != nil {
			r.owner.Ask(talk.Request{Do: talk.Heal, Mood: s.Mood})
		}
	case story.Command:
		r.person(i, s)
	case story.Foreign:
		r.foreign(s)
	case story.Read:
		r.tool("reader", "read", "--journal", r.path, "--hold", millis(s.For).String())
	case story.Weather:
		r.weather(disk.Weather(s.Mood), millis(s.For))
	case story.SecondOwner:
		r.secondOwner(s)
	case story.CopyDatabase:
		r.copyDatabase()
	case story.StepClock:
		stepClock(r.clock, s)
	case story.Finish:
		r.beside.Wait()
	case story.LinkLock:
		r.linkLock()
	case story.RemoveFiles, story.MoveFiles, story.RemoveLock:
		r.takeFiles(s.Do)
	}
}

// start starts an owner in the background, unless an owner runs. Step SecondOwner tests a start beside an owner.
func (r *run) start(s story.Step) {
	if r.owner != nil && r.owner.Alive() {
		return
	}
	args := []string{}
	if s.Mood != "" {
		args = append(args, "--sync", s.Mood)
	}
	path := r.path
	if s.Key == story.Symlink {
		path = r.link()
	}
	o, err := r.startOwnerBy(r.clock, path, args...)
	if err != nil {
		r.find("machine", "an owner cannot be started: %v", err)
		return
	}
	r.owner = o
	if s.Key == story.Symlink && !o.AwaitUp(startLimit) {
		r.find("start", "an owner does not start on a symbolic link to its journal: %s", o.LastWords())
	}
}

func (r *run) stopOwner() {
	if !r.owner.Stop(stopLimit) {
		r.find("stop", "an owner did not end within %v of SIGTERM", stopLimit)
	}
	r.owner = nil
}

// publish asks the owner for events, and does not wait for the answers.
func (r *run) publish(s story.Step) {
	for i := range max(s.Calls, 1) {
		n := s.N + i*max(s.Count, 1)
		a := r.asks(ask{what: s.Do, key: s.Key, n: n, count: max(s.Count, 1), mood: s.Mood, delayed: s.After > 0})
		if r.owner == nil {
			r.answered(a, talk.NotDone, "no owner runs")
			continue
		}
		o := r.owner
		c := o.Ask(talk.Request{Do: s.Do, Key: s.Key, N: n, Count: s.Count, Mood: s.Mood, Size: s.Size, After: s.After})
		r.answers.Go(func() {
			select {
			case answer, ok := <-c:
				if !ok {
					r.answered(a, talk.Unknown, "the process ended")
					return
				}
				r.answered(a, answer.Kind, answer.Err)
			case <-r.ctx.Done():
			}
		})
	}
}

// weather changes the disk for a while.
func (r *run) weather(w disk.Weather, d time.Duration) {
	r.mu.Lock()
	r.spells++
	r.stormy = true
	r.syncFailed = r.syncFailed || w == disk.SyncFails
	mine := r.spells
	r.mu.Unlock()
	r.disk.Set(w)
	r.beside.Go(func() {
		pause.For(r.ctx, d)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.spells == mine {
			r.disk.Set(disk.Good)
		}
	})
}

// end kills the owner.
func (r *run) end() {
	r.disk.Set(disk.Good)
	if r.owner != nil {
		r.owner.Kill()
	}
}
