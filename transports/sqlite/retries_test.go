package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// TestRetriesAreLoggedOnceAMinute has goroutines of a journal fail for two and a half minutes, for want of a table.
func TestRetriesAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	for task, test := range map[string]struct {
		table string
		run   func(*Journal)
	}{
		"appending delayed events": {"delayed", (*Journal).watchDelayed},
		"subscription": {"pending", func(j *Journal) {
			newSubscription(j, journal.Subscription{Name: "a", Types: []string{"b"}}, &registry.Row{ID: 1}).run(j.ctx)
		}},
		"reading of a consumer group": {"events", func(j *Journal) {
			g, err := j.join(j.ctx, "", "topic")
			if err != nil {
				t.Error(err)
				return
			}
			g.peek(j.ctx)
		}},
	} {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "shop.db")
			if err := mustOpen(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				db, err := sql.Open("sqlite3", path)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = db.Close() }()
				var text bytes.Buffer
				ctx, cancel := context.WithCancel(t.Context())
				j := &Journal{ctx: ctx, readers: db, topics: map[string]bool{}, writer: &commit.Writer{},
					cfg: Config{Logger: slog.New(slog.NewTextHandler(&text, nil)), now: time.Now}}
				j.follow.Store(wake.NewFollowers(nil))
				j.tail.Begin(1, nil)
				rename := func(from, to string) {
					t.Helper()
					if _, err := db.ExecContext(ctx, "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
						t.Fatal(err)
					}
				}
				rename(test.table, "away")
				done := make(chan struct{})
				go func() { defer close(done); test.run(j) }()
				pause.For(ctx, 5*oncelog.Again/2)
				synctest.Wait()
				if log := text.String(); strings.Count(log, task+" failed, retrying") != 3 || strings.Count(log, "\n") != 3 {
					t.Errorf("without the table:\n%s", log)
				}
				rename("away", test.table)
				pause.For(ctx, oncelog.Again)
				synctest.Wait()
				if log := text.String(); strings.Count(log, task+" works again") != 1 || strings.Count(log, "\n") != 4 {
					t.Errorf("with the table:\n%s", log)
				}
				cancel()
				<-done
			})
		})
	}
}
