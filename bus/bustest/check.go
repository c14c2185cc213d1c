package bustest

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// finish waits for quiet, and fails the test with every violation.
func (c *core) finish() {
	c.t.Helper()
	c.Quiet()
	wrong, err := c.audit()
	if err != nil {
		c.t.Fatal(err)
	}
	if len(wrong) > 0 {
		c.t.Errorf("%s", strings.Join(wrong, "\n"))
	}
}

// audit returns every violation in a quiet system.
func (c *core) audit() ([]string, error) {
	lives := c.lives()
	for _, l := range lives {
		c.trespasses(l)
	}
	c.checkExpected()
	c.mu.Lock()
	wrong := slices.Clone(c.wrong)
	c.mu.Unlock()
	for _, l := range lives {
		if c.without&Answers == 0 {
			found, err := c.unanswered(l)
			if err != nil {
				return nil, fmt.Errorf("read the answers: %w", err)
			}
			wrong = append(wrong, found...)
		}
		if c.thorough() {
			unsound, err := l.Check(c.ctx)
			if err != nil {
				return nil, fmt.Errorf("check the journal: %w", err)
			}
			wrong = append(wrong, unsound...)
		}
	}
	if c.verify != nil && c.without&Books == 0 {
		err := c.view(func(tables func(module string) bus.SQL) error {
			found, err := c.verify(c.ctx, tables, c.world)
			wrong = append(wrong, found...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	return wrong, nil
}

// checkExpected notes a fault for every name in Expect that is no subscription.
func (c *core) checkExpected() {
	known := map[string]bool{}
	for _, l := range c.alive() {
		for _, s := range l.bus.Wiring().Subscriptions {
			known[s.Name] = true
		}
	}
	c.mu.Lock()
	expected := slices.Sorted(maps.Keys(c.expect))
	c.mu.Unlock()
	for _, name := range expected {
		if !known[name] && journal.ModuleOf(name) != busModule {
			c.fault("Expect names %s, which is no subscription: the subscriptions are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
}

// view gives fn read access to the tables of every module, in all journals.
func (c *core) view(fn func(tables func(module string) bus.SQL) error) error {
	return c.viewAll(c.lives(), map[*deployable]bus.SQL{}, fn)
}

// viewAll opens a view of each journal, nested.
func (c *core) viewAll(
	lives []*life, open map[*deployable]bus.SQL, fn func(tables func(module string) bus.SQL) error,
) error {
	if len(lives) > 0 {
		return lives[0].View(c.ctx, func(tx *sql.Tx) error {
			open[lives[0].deployable] = tx
			return c.viewAll(lives[1:], open, fn)
		})
	}
	return fn(func(module string) bus.SQL {
		var known []string
		for _, p := range c.procs {
			if p.runs(module) {
				return open[p]
			}
			known = append(known, p.modules...)
		}
		panic(fmt.Sprintf("bustest: no deployable runs the module %q: there are %s", module, strings.Join(known, ", ")))
	})
}

// unanswered returns the reactions without a final outcome, and the unexpected dead letters.
func (c *core) unanswered(l *life) ([]string, error) {
	quick := !c.thorough() && l.Backlog() == (journal.Backlog{})
	if quick && !c.died.Load() {
		return nil, nil
	}
	var wrong []string
	letters, err := l.DeadLetters(c.ctx)
	for _, d := range letters {
		if !c.expected(d.Subscription) {
			wrong = append(wrong, fmt.Sprintf("%s of %s %s is a dead letter after %d attempts: %s",
				d.Subscription, d.Event.Type, d.Event.Key, d.Attempts, d.Error))
		}
	}
	if err != nil || quick {
		return wrong, err
	}
	flows, err := l.Flows(c.ctx)
	for _, f := range flows {
		for _, e := range f.Events {
			for _, r := range e.Reactions {
				if parked := r.Outcome == journal.Blocked && c.expected(r.Subscription); !r.Outcome.Final() && !parked {
					wrong = append(wrong, fmt.Sprintf("%s of %s %s is %s", r.Subscription, e.Type, e.Key, r.Outcome))
				}
			}
		}
	}
	return wrong, err
}

// thorough reports whether an audit reads all records, which takes longer than the reactions of a schedule. Other
// audits trust the journal's own counts.
func (c *core) thorough() bool { return c.sched == nil || c.sched.tape.obvious() }

func (c *core) expected(subscription string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expect[subscription]
}

// trees draws all flows, for a failure. A flow without a given name is shown by its number: its id differs in every
// run.
func (c *core) trees() string {
	if len(c.alive()) < len(c.procs) {
		return ""
	}
	flows, err := c.Flows()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i, f := range flows {
		if slices.ContainsFunc(f.Events, func(e journal.FlowEvent) bool { return e.ID == f.ID }) {
			f.ID = fmt.Sprint("number ", i+1)
		}
		err = errors.Join(err, f.WriteTree(&b, journal.TreeOptions{Now: time.Now()}))
	}
	if err != nil {
		return err.Error()
	}
	return b.String()
}
