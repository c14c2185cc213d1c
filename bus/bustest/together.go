package bustest

import (
	"errors"
	"slices"
	"strings"
	"testing/synctest"

	"github.com/troupebus/troupe/bus/journal"
)

// joins reports whether s can share a commit with other steps.
func (s *step) joins() bool { return s.kind == stepReact || s.kind == stepDo }

// partners returns the ready steps that may share a commit with st, in order.
func (s *scheduler) partners(st *step, ready []*step) []*step {
	if s.without&Groups != 0 || !st.joins() {
		return nil
	}
	var found []*step
	for _, o := range ready {
		if o != st && o.joins() && o.life == st.life {
			found = append(found, o)
		}
	}
	return found
}

// group returns st with its partners for f: a single partner for a pair, else all.
func (f fault) group(st *step, partners []*step) []*step {
	if f == faultPair {
		partners = partners[:1]
	}
	return append([]*step{st}, partners...)
}

// single returns the fault of member i of a group with fault f.
func (f fault) single(i int) fault {
	switch {
	case f == faultGroupCrashBefore:
		return faultCrashBefore
	case f == faultGroupCrashAfter:
		return faultCrashAfter
	case f == faultGroupRefused && i == 0:
		return faultRefused
	default:
		return faultNone
	}
}

// groups reports whether f concerns a group of steps with a shared commit.
func (f fault) groups() bool { return f >= faultPair && f <= faultGroupCrashAfter }

// story returns the story's sentence for a group with fault f.
func (f fault) story(group []*step) string {
	names := make([]string, len(group))
	for i, st := range group {
		names[i] = st.String()
	}
	last := len(names) - 1
	text := strings.Join(names[:last], ", ") + " and " + names[last] + " share a commit"
	switch f {
	case faultGroupRefused:
		return text + ", and the store refuses the work of the first"
	case faultGroupSpoilt:
		return text + " with failing work, and are written once more"
	case faultGroupCrashBefore:
		return text + ", and " + group[0].life.deployable.process() + " crashes before it"
	case faultGroupCrashAfter:
		return text + ", and " + group[0].life.deployable.process() + " crashes after it"
	default:
		return text
	}
}

// together lets the members of a group go on until the store has queued the work of all. Then the store writes the
// queue in one commit.
func (s *scheduler) together(group []*step, f fault) {
	l := group[0].life
	release := l.hold()
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(p *step) bool { return slices.Contains(group, p) })
	s.mu.Unlock()
	for i, st := range group {
		st.turn <- f.single(i)
		synctest.Wait()
	}
	spoilt := make(chan struct{})
	if f == faultGroupSpoilt {
		go func() {
			defer close(spoilt)
			l.spoil()
		}()
		synctest.Wait()
	} else {
		close(spoilt)
	}
	release()
	for _, st := range group {
		<-st.done
	}
	<-spoilt
}

// hold keeps the store's writer busy until release is called. The store combines the work from the meantime into one
// commit.
func (l *life) hold() (release func()) {
	begun, open, over := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		err := l.Store.Do(l.core.ctx, journal.Work{Name: "bustest: hold"}, func(journal.TxFunc) ([]*journal.Event, error) {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-open
			return nil, nil
		})
		if err != nil {
			l.core.fault("bustest: hold the store's writer: %v", err)
		}
	}()
	<-begun
	return func() {
		close(open)
		<-over
	}
}

// spoil adds work to the group that fails at the commit. The store then undoes the group, and writes the others' work
// once more without the failing work.
func (l *life) spoil() {
	err := l.Store.Do(l.core.ctx, journal.Work{Name: "bustest: spoil"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
		for _, query := range []string{
			"CREATE TABLE bustest_spoilt (id INTEGER PRIMARY KEY, other INTEGER REFERENCES bustest_spoilt (id) DEFERRABLE INITIALLY DEFERRED)",
			"INSERT INTO bustest_spoilt (id, other) VALUES (1, 2)",
		} {
			if _, err := tx().Exec(query); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if !errors.Is(err, journal.ErrFailed) {
		l.core.fault("bustest: work that cannot be committed ended with: %v", err)
	}
}

// drawFaultOf returns the kind of draw for the fault of a step with these partners.
func drawFaultOf(partners []*step) drawKind {
	if len(partners) > 0 {
		return drawShare
	}
	return drawFault
}
