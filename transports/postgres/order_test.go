package postgres_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// never is a Poll after which a test has long failed: what comes before was told of.
const never = time.Hour

// TestReverseCommits has two transactions write, and commit in whatever order. A reader never passes a message by, and order is
// that of the transactions.
func TestReverseCommits(t *testing.T) {
	t.Parallel()
	type act struct{ tx, do string } // tx "?" expects nothing, "+" a message
	const begin = `SELECT pg_current_xact_id()`
	write := func(id string) string {
		return `INSERT INTO troupe_order_messages (uuid) VALUES ('` + id + `'); NOTIFY troupe_order_messages`
	}
	at := func(offset int, id string) string {
		return fmt.Sprintf(`INSERT INTO troupe_order_messages ("offset", uuid) VALUES (%d, '%s'); NOTIFY troupe_order_messages`, offset, id)
	}
	for name, c := range map[string]struct {
		acts []act
		want string
	}{
		"as they began":                   {[]act{{"a", write("1")}, {"b", write("2")}, {"a", "COMMIT"}, {"b", "COMMIT"}}, "1 2"},
		"the second commits first":        {[]act{{"a", write("1")}, {"b", write("2")}, {"b", "COMMIT"}, {"?", ""}, {"a", "COMMIT"}}, "1 2"},
		"the first rolls back":            {[]act{{"a", write("1")}, {"b", write("2")}, {"b", "COMMIT"}, {"?", ""}, {"a", "ROLLBACK"}}, "2"},
		"the first writes last":           {[]act{{"a", begin}, {"b", write("2")}, {"b", "COMMIT"}, {"?", ""}, {"a", write("1")}, {"a", "COMMIT"}}, "1 2"},
		"the second has the lower offset": {[]act{{"a", at(50, "1")}, {"b", at(40, "2")}, {"a", "COMMIT"}, {"+", "1"}, {"b", "COMMIT"}, {"+", "2"}}, ""},
		"somebody else is at work":        {[]act{{"a", begin}, {"b", write("1")}, {"b", "COMMIT"}, {"?", ""}, {"a", "ROLLBACK"}}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := servers.Postgres(t)
			tr, db := MustNew(t, postgres.Config{URL: url, Poll: never}), MustOpen(t, url)
			in := MustSubscribe(t.Context(), t, tr, "order")
			txs := map[string]*sql.Conn{}
			for _, a := range c.acts {
				switch {
				case a.tx == "?":
					nothing(t, in)
					continue
				case a.tx == "+":
					if msg := MustNext(t, in); msg.UUID != a.do {
						t.Errorf("message %s came, want %s", msg.UUID, a.do)
					}
					continue
				case txs[a.tx] == nil:
					txs[a.tx] = MustBegin(t, db)
				}
				MustExec(t, txs[a.tx], a.do)
			}
			var got []string
			for range strings.Fields(c.want) {
				msg := MustNext(t, in)
				got = append(got, msg.UUID)
				msg.Ack()
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("came %s, want %s", got, c.want)
			}
			nothing(t, in)
		})
	}
}

// MustBegin begins a transaction, by SQL.
func MustBegin(tb testing.TB, db *sql.DB) *sql.Conn {
	tb.Helper()
	conn, err := db.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { MustClose(tb, conn) })
	MustExec(tb, conn, "BEGIN")
	return conn
}

// nothing expects that nothing comes for a moment.
func nothing(tb testing.TB, in <-chan *message.Message) {
	tb.Helper()
	select {
	case msg, ok := <-in:
		tb.Fatalf("%v came (the channel is open: %v), want nothing yet", msg, ok)
	case <-time.After(200 * time.Millisecond):
	}
}

// lines is a log to look into.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// has reports whether some line has all of these.
func (l *lines) has(texts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}

// TestOrderOfSuccessiveCalls has publishers in several processes take turns, while others publish, too: the order is that of the
// calls.
func TestOrderOfSuccessiveCalls(t *testing.T) {
	t.Parallel()
	const calls, publishers = 50, 4
	url := servers.Postgres(t)
	in := MustSubscribe(t.Context(), t, MustNew(t, postgres.Config{URL: url, Poll: never}), "order")
	var turn sync.Mutex
	next := 0
	var running sync.WaitGroup
	for p := range publishers {
		tr := MustNew(t, postgres.Config{URL: url})
		publish := func(msgs ...*message.Message) {
			if err := tr.Publish("order", msgs...); err != nil {
				t.Error(err)
			}
		}
		running.Go(func() {
			for range calls {
				turn.Lock()
				publish(numbered(next, 1+p)...)
				next += 1 + p
				turn.Unlock()
			}
		})
		running.Go(func() {
			for range calls {
				publish(message.NewMessage(fmt.Sprintf("other %d", p), nil))
			}
		})
	}
	total := calls * (1 + 2 + 3 + 4)
	for want, others := 0, 0; want < total || others < calls*publishers; {
		msg := MustNext(t, in)
		msg.Ack()
		if strings.HasPrefix(msg.UUID, "other") {
			others++
			continue
		}
		if msg.UUID != fmt.Sprint(want) {
			t.Fatalf("message %s came, want %d", msg.UUID, want)
		}
		want++
	}
	running.Wait()
}
