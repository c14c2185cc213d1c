package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
)

func TestReactionIsOneCommit(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(answered{})
		bus.On(m, "answer", func(ctx context.Context, e asked) (bus.Events, error) {
			if err := note(ctx, "answer", e.Key, e.N); err != nil {
				return nil, err
			}
			d := bus.Delivery(ctx)
			if d.Subscription != "test/answer" || d.Attempt != 1 || d.ID != "test/answer:"+d.EventID || d.CorrelationID == "" {
				return nil, bus.Dead(fmt.Errorf("delivery is %+v", d))
			}
			return bus.Emit(answered(e)), nil
		}).Emits(answered{})
	})
	flow, err := a.m.Publish(bus.Correlate(t.Context(), "flow-1"), asked{"a", 1})
	if err != nil || flow != "flow-1" {
		t.Fatalf("Publish: %q, %v", flow, err)
	}
	a.wait(t)
	wantStrings(t, "rows", a.seen(t, "answer"), "a:1")
	wantStrings(t, "deliveries", a.outcomes(t, "test/answer"), "done/1")
	wantStrings(t, "events", a.strings(t, "SELECT type || ' ' || key || ' ' || source || ' ' || correlation_id || ' ' || hops FROM events ORDER BY seq"),
		"test.asked a test flow-1 0", "test.answered a test flow-1 1")
	wantStrings(t, "causation", a.strings(t, "SELECT count(*) FROM events e JOIN events c ON c.id = e.causation_id AND e.subscription = 'test/answer'"), "1")
}

func TestFailureIsRolledBackAndRetried(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "shaky", func(ctx context.Context, e asked) (bus.Events, error) {
			if err := note(ctx, "shaky", e.Key, e.N); err != nil {
				return nil, err
			}
			if calls.Add(1) < 3 {
				return nil, errPlanned
			}
			return nil, nil
		})
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "rows", a.seen(t, "shaky"), "a:1")
	wantStrings(t, "deliveries", a.outcomes(t, "test/shaky"), "done/3")
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want string
		text string
	}{
		{"dead", bus.Dead(errPlanned), "dead/1", "planned failure"},
		{"drop", bus.Drop("not for us"), "dropped/1", "not for us"},
		{"wrapped", fmt.Errorf("step: %w", bus.Dead(errPlanned)), "dead/1", "step: planned failure"},
		{"attempts", errPlanned, "dead/3", "planned failure"},
		{"later", bus.RetryAfter(time.Millisecond, errPlanned), "dead/3", "planned failure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
				m.Emits(asked{})
				bus.On(m, "decide", func(ctx context.Context, e asked) (bus.Events, error) {
					return nil, errors.Join(note(ctx, "decide", e.Key, e.N), c.err)
				})
			})
			a.publish(t, asked{"a", 1})
			wantStrings(t, "rows", a.seen(t, "decide"))
			wantStrings(t, "deliveries", a.outcomes(t, "test/decide"), c.want)
			wantStrings(t, "error", a.strings(t, "SELECT error FROM deliveries"), c.text)
		})
	}
}

func TestPanicIsAnErrorWithItsStack(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{Retry: bus.Retry{Attempts: -1}}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "panic", func(context.Context, asked) (bus.Events, error) { panic("boom") })
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "error", a.strings(t, "SELECT error FROM dead_letters"), "panic: boom")
	if stack := a.strings(t, "SELECT stack FROM dead_letters")[0]; !strings.Contains(stack, "reaction_test.go") {
		t.Errorf("stack does not name the handler:\n%s", stack)
	}
}

func TestFilterSkips(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "even", func(ctx context.Context, e asked) (bus.Events, error) {
			return nil, note(ctx, "even", e.Key, e.N)
		}).When(func(e asked) bool { return e.N%2 == 0 })
	})
	a.publish(t, asked{"a", 1}, asked{"a", 2})
	wantStrings(t, "rows", a.seen(t, "even"), "a:2")
	wantStrings(t, "deliveries", a.outcomes(t, "test/even"), "skipped/1", "done/1")
}

// One key fails; its later events wait, ten thousand others do not.
func TestFailingKeyBlocksOnlyItself(t *testing.T) {
	t.Parallel()
	const others = 10_000
	fail := make(chan struct{})
	a := MustRun(t, bus.Config{Retry: bus.Retry{First: 10 * time.Millisecond, Max: 10 * time.Millisecond, Attempts: 1000}}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(ctx context.Context, e asked) (bus.Events, error) {
			if e.Key == "poison" && e.N == 1 {
				select {
				case <-fail:
				default:
					return nil, errPlanned
				}
			}
			return nil, note(ctx, e.Key, e.Key, e.N)
		})
	})
	events := []bus.Event{asked{"poison", 1}, asked{"poison", 2}}
	for i := range others {
		events = append(events, asked{fmt.Sprintf("key-%d", i), 0})
	}
	events = append(events, asked{"poison", 3})
	if _, err := a.m.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	done, blocked := "", ""
	for time.Now().Before(deadline) && (done != fmt.Sprint(others) || blocked != "2") {
		done = a.strings(t, "SELECT count(*) FROM deliveries WHERE outcome = 'done'")[0]
		blocked = a.strings(t, "SELECT count(*) FROM deliveries WHERE outcome = 'blocked'")[0]
	}
	if done != fmt.Sprint(others) || blocked != "2" {
		t.Fatalf("while one key fails: %s of %d done, %s of 2 blocked", done, others, blocked)
	}
	close(fail)
	a.wait(t)
	wantStrings(t, "order of the key", a.seen(t, "poison"), "poison:1", "poison:2", "poison:3")
	wantStrings(t, "pending", a.strings(t, "SELECT count(*) FROM pending"), "0")
}

func TestParkedKeyWaits(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "park", func(ctx context.Context, e asked) (bus.Events, error) {
			if e.N == 1 && e.Key == "a" {
				return nil, bus.Dead(errPlanned)
			}
			return nil, note(ctx, "park", e.Key, e.N)
		}).ParkKey()
	})
	a.publish(t, asked{"a", 1}, asked{"a", 2}, asked{"b", 1}, asked{"a", 3})
	wantStrings(t, "rows", a.seen(t, "park"), "b:1")
	wantStrings(t, "deliveries", a.outcomes(t, "test/park"), "dead/1", "blocked/0", "done/1", "blocked/0")
}

func TestTransactionalHandlerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		var hung atomic.Bool
		a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, "hang", func(ctx context.Context, e asked) (bus.Events, error) {
				if err := note(ctx, "hang", e.Key, e.N); err != nil {
					return nil, err
				}
				if e.Key == "slow" && !hung.Swap(true) {
					<-release
					return nil, note(ctx, "late", e.Key, e.N) // the transaction is over by now
				}
				return nil, nil
			}).Timeout(50 * time.Millisecond)
		})
		a.publish(t, asked{"before", 1}, asked{"slow", 1}, asked{"after", 1})
		wantStrings(t, "rows", a.strings(t, "SELECT key FROM test_seen WHERE name = 'hang' ORDER BY key"), "after", "before", "slow")
		wantStrings(t, "late rows", a.seen(t, "late"))
		wantStrings(t, "deliveries", a.outcomes(t, "test/hang"), "done/1", "done/2", "done/1")
	})
}

func TestStatementThatNeverEnds(t *testing.T) {
	t.Parallel()
	var again atomic.Bool
	a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "loop", func(ctx context.Context, e asked) (bus.Events, error) {
			if again.Swap(true) {
				return nil, note(ctx, "loop", e.Key, e.N)
			}
			_, err := bus.Tx(ctx).ExecContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
			return nil, err
		}).Timeout(50 * time.Millisecond)
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "rows", a.seen(t, "loop"), "a:1")
	if t.Failed() {
		t.Log(a.outcomes(t, "test/loop"), a.strings(t, "SELECT error FROM deliveries"))
	}
}

func TestHopLimitEndsALoop(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{MaxHops: 5}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "there", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(answered(e)), nil }).Emits(answered{})
		bus.On(m, "back", func(_ context.Context, e answered) (bus.Events, error) { return bus.Emit(asked(e)), nil }).Emits(asked{})
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "events", a.strings(t, "SELECT count(*) || ' ' || max(hops) FROM events"), "6 5")
	if got := a.strings(t, "SELECT error FROM dead_letters"); len(got) != 1 || !strings.Contains(got[0], "too many hops") {
		t.Errorf("dead letters: %v", got)
	}
}

func TestUndeclaredEmissionIsDead(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}, answered{}).ForOutside(answered{})
		bus.On(m, "rogue", func(ctx context.Context, e asked) (bus.Events, error) {
			return bus.Emit(answered(e)), note(ctx, "rogue", e.Key, e.N)
		})
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "rows", a.seen(t, "rogue"))
	if got := a.strings(t, "SELECT error FROM dead_letters"); len(got) != 1 || !strings.Contains(got[0], `test/rogue emits "test.answered": add the event to Emits`) {
		t.Errorf("dead letters: %v", got)
	}
}
