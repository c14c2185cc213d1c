package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupebus/troupe/bus/journal"
)

// mustLeave makes a journal in which m/work has a delivery of each kind: done, dead with a parked key, blocked, retrying, and
// waiting.
func mustLeave(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{Park: true, Outside: true})
	w.publish(t, 0, "done", "dead", "dead", "retry")
	w.answer(t, w.next(t), journal.Done, 0)
	w.answer(t, w.next(t), journal.Dead, 0)
	w.answer(t, w.next(t), journal.Retrying, 0)
	w.until(t, 3, "SELECT count(*) FROM pending")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	j := mustOpen(t, path)
	(&worked{Journal: j}).publish(t, 0, "waits")
	closeNow(t, j)
	return path
}

// mustStart starts a program with subs, as a bus does.
func mustStart(t *testing.T, path string, subs ...journal.Subscription) (j *Journal, log *bytes.Buffer) {
	t.Helper()
	j, log, err := start(t, path, nil, subs...)
	if err != nil {
		t.Fatal(err)
	}
	return j, log
}

func start(t *testing.T, path string, modules map[string]fs.FS, subs ...journal.Subscription) (*Journal, *bytes.Buffer, error) {
	t.Helper()
	log := &bytes.Buffer{}
	j, err := Open(t.Context(), path, Config{Synchronous: "off", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	before := mustReadAll(t, path)
	if err := j.Fits(t.Context(), modules, subs); err != nil {
		if after := mustReadAll(t, path); !slices.EqualFunc(before, after, bytes.Equal) {
			t.Errorf("a refused program has written to the journal: %v", err)
		}
		return j, log, err
	}
	return j, log, nil
}

// mustReadAll returns the bytes of the journal and of its log.
func mustReadAll(t *testing.T, path string) (files [][]byte) {
	t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		files = append(files, text)
	}
	return files
}

// ask returns the rows of a query, a line each.
func ask(t *testing.T, j *Journal, query string) (lines []string) {
	t.Helper()
	err := j.View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func closeNow(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

const bookOf = `
SELECT s.name || ' ' || e.key || ' ' || coalesce(d.outcome, 'waiting') || coalesce(' ' || p.state, '') || coalesce(' letter ' || l.status, '')
FROM subscriptions s JOIN events e LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id
LEFT JOIN pending p ON p.subscription = s.id AND p.seq = e.seq LEFT JOIN dead_letters l ON l.subscription = s.id AND l.seq = e.seq
WHERE s.kind = 'bus' ORDER BY s.id, e.seq`

func sub(name string, was ...string) journal.Subscription {
	return journal.Subscription{Name: name, Was: was, Types: []string{"t"}, Park: true, Outside: true, Parallel: 8}
}

// A renamed subscription goes on with all that it had, under the same idempotency keys, once; a program from before the
// rename takes the old name back.
func TestARenamedSubscriptionGoesOn(t *testing.T) {
	t.Parallel()
	path := mustLeave(t)
	names := func(name string) []string {
		return []string{name + " done done", name + " dead dead parked letter dead", name + " dead blocked blocked", name + " retry retrying retrying", name + " waits waiting"}
	}
	for _, step := range []struct {
		sub journal.Subscription
		log string
	}{
		{sub("m/new", "m/work"), "subscription=m/new before=m/work"},
		{sub("m/new", "m/work"), ""},
		{sub("m/new"), ""}, // the old name may leave the program
		{sub("m/newest", "m/new", "m/work"), "subscription=m/newest before=m/new"},
		{sub("m/work"), "subscription=m/work before=m/newest"}, // the first program once more
		{sub("m/newest", "m/new", "m/work"), "subscription=m/newest before=m/work"},
	} {
		j, log := mustStart(t, path, step.sub)
		mustSubscribe(t, j, step.sub)
		if got := ask(t, j, bookOf); !slices.Equal(got, names(step.sub.Name)) {
			t.Fatalf("%+v: %q", step.sub, got)
		}
		if got := strings.Contains(log.String(), "a renamed subscription goes on"); got != (step.log != "") || !strings.Contains(log.String(), step.log) {
			t.Errorf("%+v: the start says %q", step.sub, log)
		}
		closeNow(t, j)
	}
	j, _ := mustStart(t, path, sub("m/newest"))
	out := mustDeliver(t, mustSubscribe(t, j, sub("m/newest"))["m/newest"])
	w := &worked{j, out}
	for range 2 {
		d := w.next(t)
		if want := "m/work:" + d.Event.ID; d.ID() != want || d.Subscription != "m/newest" {
			t.Errorf("the key is %s of %s, want %s", d.ID(), d.Subscription, want)
		}
		w.answer(t, d, journal.Done, 0)
	}
	if wrong, err := j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
	stats, err := j.Reader().Subscriptions(t.Context())
	if err != nil || len(stats) != 1 || fmt.Sprint(stats[0].Was) != "[m/work m/new m/newest]" {
		t.Errorf("%+v, %v", stats, err)
	}
}

// On a journal that never knew the old name, the keys have it all the same: a journal that is lost repeats no call.
func TestKeysOfANewJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, _ := mustStart(t, path, sub("m/c", "m/b", "m/a"))
	out := mustDeliver(t, mustSubscribe(t, j, sub("m/c", "m/b", "m/a"))["m/c"])
	w := &worked{j, out}
	w.publish(t, 0, "k")
	if d := w.next(t); d.ID() != "m/a:"+d.Event.ID {
		t.Errorf("the key is %s", d.ID())
	}
}

// A start that would leave work behind, or repeat calls, is refused before it writes a byte.
func TestStartsThatAreRefused(t *testing.T) {
	t.Parallel()
	inside := sub("m/new")
	inside.Outside = false
	fromNow, fromStart := sub("n/new"), sub("n/new")
	fromNow.FromNow, fromStart.FromStart = true, true
	elsewhere := sub("m/new", "m/work")
	elsewhere.Elsewhere = true
	other := sub("m/new", "m/work")
	other.Types = []string{"u"}
	gone := func(err error) bool {
		e, ok := errors.AsType[*OpenWorkError](err)
		return ok && e.Subscription == "m/work" && e.OpenWork == OpenWork{Events: 1, Retrying: 1, Blocked: 1, DeadLetters: 1}
	}
	past := func(err error) bool {
		e, ok := errors.AsType[*PastError](err)
		return ok && e.Events == 5 && e.Subscription == "n/new" && len(e.Removed) == 0
	}
	names := func(want string) func(error) bool {
		return func(err error) bool {
			_, ok := errors.AsType[*NamesError](err)
			return ok && strings.Contains(err.Error(), want)
		}
	}
	for what, c := range map[string]struct {
		subs []journal.Subscription
		is   func(error) bool
	}{
		"open work, nothing instead":  {nil, gone},
		"open work, a new one inside": {[]journal.Subscription{inside}, gone},
		"open work and a past": {[]journal.Subscription{sub("m/new")}, func(err error) bool {
			e, ok := errors.AsType[*PastError](err)
			return ok && gone(err) && slices.Equal(e.Removed, []string{"m/work"}) && strings.Contains(err.Error(), `name "work" in Handler.Was`)
		}},
		"a past":                       {[]journal.Subscription{sub("m/work"), sub("n/new")}, past},
		"a past, from now":             {[]journal.Subscription{sub("m/work"), fromNow}, nil},
		"a past, from the start":       {[]journal.Subscription{sub("m/work"), fromStart}, nil},
		"renamed, of another process":  {[]journal.Subscription{elsewhere}, func(err error) bool { return errors.As(err, new(*StrandedError)) }},
		"renamed, of other types":      {[]journal.Subscription{other}, nil},
		"two that were the same":       {[]journal.Subscription{sub("m/work"), sub("m/new", "m/work")}, names("has a name of m/work")},
		"a wired one under its name":   {[]journal.Subscription{sub("m/work")}, nil},
		"a new one inside beside that": {[]journal.Subscription{sub("m/work"), inside}, nil},
	} {
		_, _, err := start(t, mustLeave(t), nil, c.subs...)
		switch {
		case c.is == nil && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.is != nil && (err == nil || !c.is(err)):
			t.Errorf("%s: the start says %v", what, err)
		}
	}
}

// The journal has both names, or the program gives an old name away.
func TestNamesThatClash(t *testing.T) {
	t.Parallel()
	path := mustLeave(t)
	fromNow := sub("m/new")
	fromNow.FromNow = true
	j, _ := mustStart(t, path, sub("m/work"), fromNow)
	mustSubscribe(t, j, sub("m/work"), fromNow)
	closeNow(t, j)
	_, _, err := start(t, path, nil, sub("m/new", "m/work"))
	if e, ok := errors.AsType[*NamesError](err); !ok || e.Wired || !slices.Equal(e.Known, []string{"m/work", "m/new"}) {
		t.Errorf("both names exist: %v", err)
	}
	path = mustLeave(t)
	j, _ = mustStart(t, path, sub("m/new", "m/work"))
	mustSubscribe(t, j, sub("m/new", "m/work"))
	closeNow(t, j)
	_, _, err = start(t, path, nil, sub("m/new"), sub("m/work"))
	if e, ok := errors.AsType[*NamesError](err); !ok || !e.Wired || !slices.Equal(e.Known, []string{"m/new"}) {
		t.Errorf("the old name is another's: %v", err)
	}
}

// What is retired by a person is given up, and the program starts without it.
func TestRetire(t *testing.T) {
	t.Parallel()
	path := mustLeave(t)
	if _, err := Retire(t.Context(), path, OpenAct{Subscription: "m/nix"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
	dropped, err := Retire(t.Context(), path, OpenAct{Subscription: "m/work", Actor: "ann", Reason: "no longer sold"})
	if want := (OpenWork{Events: 1, Retrying: 1, Blocked: 1, DeadLetters: 1}); err != nil || dropped != want {
		t.Fatalf("%+v, %v", dropped, err)
	}
	j, log := mustStart(t, path)
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("the start says %q", log)
	}
	if got := ask(t, j, bookOf); !slices.Equal(got, []string{"m/work done done", "m/work dead dropped letter dropped", "m/work dead dropped", "m/work retry dropped", "m/work waits dropped"}) {
		t.Errorf("%q", got)
	}
	if got := ask(t, j, "SELECT actor || act || reason FROM acts UNION ALL SELECT actor || act || reason FROM open_acts"); !slices.Equal(got, slices.Repeat([]string{"anndropno longer sold"}, 3)) {
		t.Errorf("the acts are %q", got)
	}
	stats, err := j.Reader().Subscriptions(t.Context())
	if err != nil || stats[0].RetiredBy != "ann" || stats[0].RetiredWhy != "no longer sold" || stats[0].Retired.IsZero() {
		t.Errorf("%+v, %v", stats, err)
	}
	if wrong, err := j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
	closeNow(t, j)
	j, _ = mustStart(t, path, sub("m/work")) // the subscription is back
	mustSubscribe(t, j, sub("m/work"))
	if stats, err = j.Reader().Subscriptions(t.Context()); err != nil || stats[0].RetiredBy != "" || stats[0].RetiredWhy != "" || !stats[0].Retired.IsZero() {
		t.Errorf("%+v, %v", stats, err)
	}
}

// Delayed events of a module that is gone are told at the start.
func TestDelayedEventsOfARemovedModule(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	due := time.Now().Add(time.Hour)
	err := j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) {
		return []*journal.Event{{ID: "1", Type: "t", Source: "gone", Due: due, Time: time.Now(), CorrelationID: "1", Data: []byte("{}")}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closeNow(t, j)
	for _, c := range []struct {
		modules map[string]fs.FS
		told    bool
	}{{map[string]fs.FS{"m": nil}, true}, {map[string]fs.FS{"m": nil, "gone": nil}, false}} {
		j, log, err := start(t, path, c.modules)
		if err != nil || strings.Contains(log.String(), "module=gone events=1 first=") != c.told {
			t.Errorf("%v: the start says %q, %v", c.modules, log, err)
		}
		closeNow(t, j)
	}
}

// Another number makes a subscription run from the start. The former run stays for readers, and its open work is dropped.
func TestRebuild(t *testing.T) {
	t.Parallel()
	path := mustLeave(t)
	v := func(version int) journal.Subscription {
		s := sub("m/work")
		s.Version, s.Outside = version, false
		return s
	}
	j, log := mustStart(t, path, v(2))
	w := &worked{j, mustDeliver(t, mustSubscribe(t, j, v(2))["m/work"])}
	if got := log.String(); !strings.Contains(got, "subscription=m/work version=2 retrying=1 blocked=1 dead_letters=1") {
		t.Errorf("the start says %q", got)
	}
	for range 5 {
		d := w.next(t)
		if d.Attempt != 1 || d.ID() != "m/work:"+d.Event.ID {
			t.Errorf("attempt %d of %s", d.Attempt, d.ID())
		}
		w.answer(t, d, journal.Done, 0)
	}
	w.until(t, 5, "SELECT count(*) FROM deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE s.name = 'm/work' AND outcome = 'done'")
	if got := ask(t, j, bookOf)[:4]; !slices.Equal(got, []string{"m/work (before rebuild 1) done done", "m/work (before rebuild 1) dead dropped letter dropped",
		"m/work (before rebuild 1) dead dropped", "m/work (before rebuild 1) retry dropped"}) {
		t.Errorf("%q", got)
	}
	if wrong, err := j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
	closeNow(t, j)
	for _, c := range []struct {
		version int
		runs    string
	}{{2, "1"}, {0, "1"}, {1, "2"}} { // the same; none; the program of before
		j, _ := mustStart(t, path, v(c.version))
		mustSubscribe(t, j, v(c.version))
		if got := ask(t, j, "SELECT rebuilds FROM subscriptions WHERE name = 'm/work'"); got[0] != c.runs {
			t.Errorf("version %d: %s runs from the start, want %s", c.version, got[0], c.runs)
		}
		closeNow(t, j)
	}
}

// A type that an external subscription gains has a past, too.
func TestAnExternalSubscriptionGainsAPast(t *testing.T) {
	t.Parallel()
	path := mustLeave(t)
	j, _ := mustStart(t, path, sub("m/work"))
	if err := j.Publisher().Publish("u", message.NewMessage("one", nil)); err != nil {
		t.Fatal(err)
	}
	closeNow(t, j)
	gains := func(change func(*journal.Subscription)) journal.Subscription {
		s := sub("m/work")
		s.Types = []string{"t", "u"}
		change(&s)
		return s
	}
	for what, c := range map[string]struct {
		subs []journal.Subscription
		want string
	}{
		"gained":            {[]journal.Subscription{gains(func(*journal.Subscription) {})}, "external subscription m/work gains u, and would call the outside for 1 events of the past"},
		"renamed":           {[]journal.Subscription{gains(func(s *journal.Subscription) { s.Name, s.Was = "m/new", []string{"m/work"} })}, "external subscription m/new gains u"},
		"from now":          {[]journal.Subscription{gains(func(s *journal.Subscription) { s.TypesFromNow = []string{"u"} })}, ""},
		"all from now":      {[]journal.Subscription{gains(func(s *journal.Subscription) { s.FromNow = true })}, ""},
		"from the start":    {[]journal.Subscription{gains(func(s *journal.Subscription) { s.FromStart = true })}, ""},
		"inside":            {[]journal.Subscription{gains(func(s *journal.Subscription) { s.Outside = false })}, ""},
		"new, all from now": {[]journal.Subscription{sub("m/work"), {Name: "n/new", Types: []string{"t"}, TypesFromNow: []string{"t"}, Outside: true}}, ""},
	} {
		j, _, err := start(t, path, nil, c.subs...)
		past, is := errors.AsType[*PastError](err)
		if c.want == "" && err != nil || c.want != "" && (!is || !strings.Contains(past.Error(), c.want)) {
			t.Errorf("%s: %v", what, err)
		}
		closeNow(t, j)
	}
}
