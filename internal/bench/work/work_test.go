package work

import (
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestWorkers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		job  Job
		want []string
	}{
		{Job{Worker: "troupe", Flows: 30}, []string{FlowsPerSecond, Resident, Peak}},
		{Job{Worker: "troupe", Flows: 30, InFlight: 2}, []string{FlowsPerSecond, Resident, Peak}},
		{Job{Worker: "gochannel", Flows: 30}, []string{FlowsPerSecond}},
		{Job{Worker: "gochannel", Flows: 30, InFlight: 2}, []string{FlowsPerSecond}},
		{Job{Worker: "sqlite", Flows: 30, Group: 64}, []string{FlowsPerSecond}},
		{Job{Worker: "sqlite", Flows: 1, Group: 1}, []string{FlowsPerSecond}},
		{Job{Worker: "latency", Flows: 3}, []string{P50, P99}},
		{Job{Worker: "latency", Flows: 3, Pause: time.Millisecond}, []string{P50, P99}},
		{Job{Worker: "idle", Flows: 3, Pause: 20 * time.Millisecond}, []string{Busy}},
		{Job{Worker: "grow", Flows: 30}, []string{FlowsPerSecond}},
		{Job{Worker: "open"}, []string{Opened}},
	} {
		t.Run(tt.job.Worker, func(t *testing.T) {
			t.Parallel()
			tt.job.Journal = filepath.Join(t.TempDir(), "troupe.db")
			f, err := Run(t.Context(), tt.job)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.want {
				if _, err := f.Get(name); err != nil {
					t.Error(err)
				}
			}
			if len(f) != len(tt.want) {
				t.Errorf("measured %v, want %q", f, tt.want)
			}
		})
	}
}

func TestWorkGoesOnWithAJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "troupe.db")
	for _, j := range []Job{{Worker: "grow", Flows: 20}, {Worker: "open"}, {Worker: "troupe", Flows: 10}} {
		j.Journal = path
		if _, err := Run(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	if err := new(position).expect(t.Context(), path, 20+1+11); err != nil {
		t.Error(err)
	}
}

func TestWhatIsLostIsAnError(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{
		"SELECT 1", // no damage: expect must find none
		"DELETE FROM bench_rows WHERE id = 1",
		"UPDATE deliveries SET outcome = 'dead' WHERE seq = 1",
		"DELETE FROM events WHERE seq = 1",
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "troupe.db")
			if _, err := Run(t.Context(), Job{Worker: "grow", Flows: 3, Journal: path}); err != nil {
				t.Fatal(err)
			}
			MustExec(t, path, damage)
			if err := new(position).expect(t.Context(), path, 3); (err == nil) != (damage == "SELECT 1") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// MustExec changes a journal without an owner.
func MustExec(tb testing.TB, path, statement string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err == nil {
		_, err = db.Exec(statement)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Bare SQLite must not write less than Troupe.
func TestBareWritesTheSameBytes(t *testing.T) {
	t.Parallel()
	const sums = `
SELECT json_array(count(*), sum(length(id)), sum(length(type)), sum(version), sum(length(source)), sum(length(key)), sum(length(correlation_id)),
                  sum(length(causation_id)), sum(length(subscription)), sum(hops), sum(metadata IS NULL), sum(length(data)), count(DISTINCT correlation_id)),
       (SELECT json_group_array(n) FROM (SELECT subscription || ':' || count(*) || outcome || attempts AS n FROM deliveries GROUP BY subscription, outcome, attempts)),
       (SELECT json_array(count(*), sum(step), sum(length(order_id)), sum(total)) FROM bench_rows)
FROM events`
	var got [2][3]string
	for i, j := range []Job{{Worker: "troupe", Flows: 40}, {Worker: "sqlite", Flows: 40, Group: 64}} {
		j.Journal = filepath.Join(t.TempDir(), j.Worker+".db")
		if _, err := Run(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		err := view(j.Journal, func(db *sql.DB) error { return db.QueryRow(sums).Scan(&got[i][0], &got[i][1], &got[i][2]) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if got[0] != got[1] {
		t.Errorf("Troupe wrote\n%s\nbare SQLite\n%s", got[0], got[1])
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	want, err := PayloadBytes()
	if err != nil || want < 190 || want > 210 {
		t.Errorf("payload of %d bytes, %v, want about 200", want, err)
	}
	for _, n := range []int64{0, 8, 9, 99_999, 100_000, 799_999, 800_000, 12_345_678} {
		if data, err := json.Marshal(notified{newOrder(n)}); err != nil || len(data) != want {
			t.Errorf("order %d has %d bytes, %v, want %d", n, len(data), err, want)
		}
	}
}
