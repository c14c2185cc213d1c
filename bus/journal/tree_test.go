package journal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

var start = time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)

// event is one of a hand-made flow: its id is its letter, its type comes from it.
func event(seq int64, id, cause, subscription string, reactions ...journal.Reaction) journal.FlowEvent {
	return journal.FlowEvent{
		EventRecord: journal.EventRecord{
			Seq: seq, ID: id, Type: "test." + id, Key: "k", Time: start.Add(time.Duration(seq-1) * time.Millisecond),
			CorrelationID: "flow", CausationID: cause, Subscription: subscription,
		},
		Reactions: reactions,
	}
}

func done(subscription string) journal.Reaction {
	return journal.Reaction{Subscription: subscription, Outcome: journal.Done, Attempts: 1, Started: start, Duration: 1234 * time.Microsecond}
}

func wantTree(t *testing.T, f *journal.Flow, o journal.TreeOptions, want string) {
	t.Helper()
	var got strings.Builder
	if err := f.WriteTree(&got, o); err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestTreeOfEveryOutcome(t *testing.T) {
	t.Parallel()
	retried := done("pay/charge")
	retried.Attempts, retried.Duration, retried.Error = 3, 31*time.Millisecond, "kept from an earlier attempt"
	f := &journal.Flow{ID: "flow", Events: []journal.FlowEvent{
		event(1, "placed", "", "",
			retried,
			journal.Reaction{Subscription: "stock/audit", Outcome: journal.Skipped, Attempts: 1},
			journal.Reaction{Subscription: "stock/late", Outcome: journal.Waiting},
			journal.Reaction{Subscription: "stock/old", Outcome: journal.Skipped, Error: "published before the subscription began"},
		),
		event(2, "charged", "placed", "pay/charge",
			journal.Reaction{Subscription: "ship/blocked", Outcome: journal.Blocked, BlockedBy: 1},
			journal.Reaction{
				Subscription: "ship/dead", Outcome: journal.Dead, Attempts: 8, DeadLetter: 4, Parked: true,
				Error: "first\nsecond\x1b[31m \u202eline", Started: start.Add(time.Second), Duration: 500 * time.Millisecond,
			},
			journal.Reaction{Subscription: "ship/dropped", Outcome: journal.Dropped, Attempts: 1, Error: "not ours"},
			journal.Reaction{Subscription: "ship/due", Outcome: journal.Retrying, Attempts: 1, RetryAt: start},
			journal.Reaction{Subscription: "ship/retry", Outcome: journal.Retrying, Attempts: 2, RetryAt: start.Add(5 * time.Second), Error: "no answer"},
		),
		event(3, "stranger", "elsewhere", "other/handler"),
		event(4, "noted", "placed", "unknown/subscription"),
	}, Delayed: []journal.DelayedEvent{
		{ID: "d", Type: "test.reminder", Key: "k", Due: start.Add(30 * time.Minute), CausationID: "placed", Subscription: "pay/charge"},
		{ID: "e", Type: "test.yearly", Due: start.Add(24 * time.Hour), CausationID: "elsewhere"},
	}, Cancelled: []journal.DelayedEvent{
		{ID: "c", Type: "test.alarm", Key: "k", Due: start, CausationID: "placed", Subscription: "pay/charge", Name: "alarm", CancelledAt: start},
	}}
	wantTree(t, f, journal.TreeOptions{Now: start.Add(time.Second)}, `
flow flow: 4 events in 1.5s from 2010-12-01 08:26:00.000Z: 1 done, 2 skipped, 1 dropped, 1 waiting, 2 retrying, 1 blocked, 1 dead, 2 to come, 1 cancelled
test.placed  k  +0s
├─ pay/charge  done in 31ms, 3 attempts
│  ├─ test.charged  k  +1ms
│  │  ├─ ship/blocked  blocked by event 1
│  │  ├─ ship/dead  dead, dead letter 4, key parked, 8 attempts: first second [31m line
│  │  ├─ ship/dropped  dropped: not ours
│  │  ├─ ship/due  retrying, attempt 2 due now
│  │  └─ ship/retry  retrying, attempt 3 in 4s (08:26:05Z), 2 attempts: no answer
│  ├─ test.reminder  k  to come in 29m59s (08:56:00Z)
│  └─ test.alarm  k  cancelled as alarm
├─ stock/audit  skipped
├─ stock/late  waiting
├─ stock/old  skipped: published before the subscription began
└─ test.noted  k  +3ms
test.stranger  k  +2ms
test.yearly  to come in 23h59m59s (2010-12-02 08:26Z)
`)
}

func TestTreeInColour(t *testing.T) {
	t.Parallel()
	f := &journal.Flow{ID: "flow", Events: []journal.FlowEvent{event(1, "a", "", "",
		done("m/a"), journal.Reaction{Subscription: "m/b", Outcome: journal.Dead, Attempts: 1, DeadLetter: 1, Error: "no"},
	)}}
	wantTree(t, f, journal.TreeOptions{Color: true}, fmt.Sprintf(`
flow flow: 1 event in 1.23ms from 2010-12-01 08:26:00.000Z: %[1]s1 done%[3]s, %[2]s1 dead%[3]s
test.a  k  +0s
├─ m/a  %[1]sdone in 1.23ms%[3]s
└─ m/b  %[2]sdead, dead letter 1%[3]s: no
`, "\x1b[32m", "\x1b[31m", "\x1b[0m"))
}

func TestTreeOfCircles(t *testing.T) {
	t.Parallel()
	f := &journal.Flow{ID: "flow", Events: []journal.FlowEvent{
		event(1, "a", "b", ""), event(2, "b", "a", "m/x"), event(3, "c", "c", ""),
	}}
	wantTree(t, f, journal.TreeOptions{}, `
flow flow: 3 events in 2ms from 2010-12-01 08:26:00.000Z
test.a  k  +0s
└─ test.b  k  +1ms
   └─ test.a  k  +0s (see above)
test.c  k  +2ms
└─ test.c  k  +2ms (see above)
`)
}

func TestTreeOfNothing(t *testing.T) {
	t.Parallel()
	wantTree(t, &journal.Flow{ID: "flow", Delayed: []journal.DelayedEvent{{ID: "d", Type: "test.d", Due: start}}}, journal.TreeOptions{}, `
flow flow: 0 events: 1 to come
test.d  to come due now
`)
}

// A chain of any length takes text in proportion, and each event is there.
func TestTreeOfALongChain(t *testing.T) {
	t.Parallel()
	const n = 50_000
	f := &journal.Flow{ID: "flow"}
	for i := range int64(n) {
		cause, by := fmt.Sprint(i-1), "m/next"
		if i == 0 {
			cause, by = "", ""
		}
		f.Events = append(f.Events, event(i+1, fmt.Sprint(i), cause, by, done("m/next")))
	}
	var out strings.Builder
	if err := f.WriteTree(&out, journal.TreeOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "m/next"); got != n {
		t.Errorf("%d of %d reactions are drawn", got, n)
	}
	if perEvent := out.Len() / n; perEvent > 300 {
		t.Errorf("%d bytes for each event", perEvent)
	}
}

func TestFlowAsJSON(t *testing.T) {
	t.Parallel()
	r := done("m/a")
	e := journal.NewEventRecord(&journal.Event{Seq: 7, ID: "i", Type: "t", Version: 1, Time: start, CorrelationID: "c", Data: []byte(`{"n":1}`)})
	raw := journal.NewEventRecord(&journal.Event{Seq: 8, ID: "j", Type: "t", Version: 1, Time: start, CorrelationID: "c", Data: []byte{0xff, 0}})
	got, err := json.Marshal(&journal.Flow{ID: "c", Events: []journal.FlowEvent{
		{EventRecord: e, Reactions: []journal.Reaction{r}}, {EventRecord: raw, Reactions: []journal.Reaction{}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"c","events":[` +
		`{"seq":7,"id":"i","type":"t","version":1,"time":"2010-12-01T08:26:00Z","correlation_id":"c","hops":0,"data":{"n":1},` +
		`"reactions":[{"subscription":"m/a","outcome":"done","attempts":1,"started":"2010-12-01T08:26:00Z","duration_us":1234}]},` +
		`{"seq":8,"id":"j","type":"t","version":1,"time":"2010-12-01T08:26:00Z","correlation_id":"c","hops":0,"data_base64":"/wA=","reactions":[]}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The first event of a flow may come from a schedule.
func TestTreeOfASchedule(t *testing.T) {
	t.Parallel()
	wantTree(t, &journal.Flow{ID: "flow", Events: []journal.FlowEvent{event(1, "a", "", "shop/nightly", done("m/a"))}}, journal.TreeOptions{}, `
flow flow: 1 event in 1.23ms from 2010-12-01 08:26:00.000Z: 1 done
test.a  k  +0s  by schedule shop/nightly
└─ m/a  done in 1.23ms
`)
}

// A dead letter that a person has replayed, and that no process has taken up yet, is blocked by nothing.
func TestTreeOfAReplayThatWaits(t *testing.T) {
	flow := &journal.Flow{ID: "f", Events: []journal.FlowEvent{{
		EventRecord: journal.EventRecord{Seq: 1, ID: "e", Type: "order.placed", CorrelationID: "f"},
		Reactions:   []journal.Reaction{{Subscription: "pay/charge", Outcome: journal.Blocked, Error: "card declined"}},
	}}}
	var b strings.Builder
	if err := flow.WriteTree(&b, journal.TreeOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := "pay/charge  waiting for an attempt, next of its key; failed before: card declined"; !strings.Contains(b.String(), want) {
		t.Errorf("the tree does not say %q:\n%s", want, b.String())
	}
}
