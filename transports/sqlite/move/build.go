package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

const (
	eventColumns   = `id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, metadata, data`
	delayedColumns = `due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data`

	insertRelay = `INSERT INTO main.subscriptions (name, kind, types, except_of, start_seq, cursor) `
)

// chosen are the statements that choose the events for a new journal. temp.map maps the old numbers of the events (a)
// to the new numbers (b), in order; temp.subs has the moving subscriptions. ?1 are the modules.
//
// A moving subscription needs all events that the subscription consumes, even handled events: the new journal will
// receive these events again, and must recognize them. The new journal also needs the events that a moving row refers
// to, and all events that the modules emitted: once the modules run elsewhere, the old journal's relay never sends or
// resends these events.
var chosen = []string{
	`CREATE TEMP TABLE subs AS SELECT s.id, s.name, s.types FROM a.subscriptions s WHERE s.kind = 'bus' AND ` + inventory.OfMoving,
	`CREATE TEMP TABLE map (b INTEGER PRIMARY KEY, a INTEGER NOT NULL UNIQUE)`, `
INSERT INTO temp.map (a) SELECT e.seq FROM a.events e
WHERE e.type IN (SELECT t.value FROM temp.subs s, json_each(s.types) t)
   OR e.source IN (SELECT value FROM json_each(?1))
   OR e.seq IN (SELECT seq FROM a.deliveries WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.pending WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.dead_letters WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.records WHERE subscription IN (SELECT id FROM temp.subs))
ORDER BY e.seq`,
}

// choose fills temp.map and temp.subs, and s.moved with the sums of the rows that the new journal is to have.
func (s *split) choose(ctx context.Context) (err error) {
	if err := s.b.Attach(ctx, s.a, "a"); err != nil {
		return err
	}
	if err := s.b.RunAll(ctx, chosen, s.Modules); err != nil {
		return err
	}
	s.moved = inventory.Part{}
	for name, sum := range s.before.Moving {
		s.moved[name] = sum
	}
	s.moved[inventory.Events], err = s.b.Sum(ctx, `SELECT count(*), digest(`+inventory.EventContent+`) FROM temp.map m JOIN a.events e ON e.seq = m.a`, s.Modules)
	return err
}

// filled are the statements that copy the moving rows; only the numbers of events change. A cursor becomes the last
// event of the new journal up to the old cursor, so it never runs ahead.
var filled = []string{
	`INSERT INTO main.events (seq, ` + eventColumns + `) SELECT m.b, ` + inventory.EventContent + ` FROM temp.map m CROSS JOIN a.events e ON e.seq = m.a ORDER BY m.b`, `
INSERT INTO main.subscriptions (id, name, kind, types, except_of, start_seq, cursor, retired_at, since)
SELECT s.id, s.name, s.kind, s.types, s.except_of, ` + upTo("s.start_seq") + `, ` + upTo("s.cursor") + `, s.retired_at, s.since
FROM a.subscriptions s WHERE s.id IN (SELECT id FROM temp.subs)`,
	insertRelay + `SELECT 'relay', 'group', '[]', 1,
	coalesce((SELECT ` + upTo("s.start_seq") + ` FROM a.subscriptions s WHERE s.kind = 'group' AND s.name = 'relay'), (SELECT max(b) FROM temp.map), 0),
	coalesce((SELECT ` + upTo("s.cursor") + ` FROM a.subscriptions s WHERE s.kind = 'group' AND s.name = 'relay'), (SELECT max(b) FROM temp.map), 0)`,
	`INSERT INTO main.deliveries (seq, subscription, ` + inventory.DeliveryColumns + `) SELECT m.b, d.subscription, ` + inventory.DeliveryColumns + `
FROM a.deliveries d JOIN temp.map m ON m.a = d.seq WHERE d.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.pending (subscription, key, seq, state, attempts, due_at, failed_at) SELECT p.subscription, p.key, m.b, p.state, p.attempts, p.due_at, p.failed_at
FROM a.pending p JOIN temp.map m ON m.a = p.seq WHERE p.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.dead_letters (id, seq, subscription, ` + inventory.LetterColumns + `) SELECT l.id, m.b, l.subscription, ` + inventory.LetterColumns + `
FROM a.dead_letters l JOIN temp.map m ON m.a = l.seq WHERE l.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.acts SELECT x.* FROM a.acts x JOIN a.dead_letters l ON l.id = x.dead_letter WHERE l.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.open_acts (id, at, actor, act, seq, subscription, reason) SELECT x.id, x.at, x.actor, x.act, m.b, x.subscription, x.reason
FROM a.open_acts x JOIN temp.map m ON m.a = x.seq WHERE x.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.records (id, seq, subscription) SELECT r.id, m.b, r.subscription
FROM a.records r JOIN temp.map m ON m.a = r.seq WHERE r.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.delayed SELECT * FROM a.delayed WHERE source IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.sqlite_sequence WHERE name <> 'events'`, // never use an id again that people may have seen
	`INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM a.sqlite_sequence WHERE name IN ('dead_letters', 'acts', 'open_acts', 'delayed', 'records')`,
	`INSERT INTO main.migrations SELECT * FROM a.migrations WHERE module IN (SELECT value FROM json_each(?1))`,
	`INSERT INTO main.program SELECT * FROM a.program`,
}

// upTo returns the SQL for the number of the last event in the new journal up to the number that column has in the old
// journal.
func upTo(column string) string {
	return `coalesce((SELECT b FROM temp.map WHERE a <= ` + column + ` ORDER BY a DESC LIMIT 1), 0)`
}

// build makes the whole new journal in s.part, and closes it.
func (s *split) build(ctx context.Context) (err error) {
	if err := dbfile.CreatePrivate(s.part); err != nil {
		return err
	}
	j, err := sqlite.Open(ctx, s.part, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := errors.Join(j.Close(), os.Remove(s.part+".lock")); err != nil {
		return err
	}
	if s.b, err = dbfile.Open(ctx, s.part, dbfile.Volatile); err != nil {
		return err
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	if err := s.b.Run(ctx, dbfile.Stmt("BEGIN")); err != nil {
		return err
	}
	if err := s.b.RunAll(ctx, filled, s.Modules); err != nil {
		return err
	}
	known, err := s.fillTables(ctx)
	if err != nil {
		return err
	}
	if err := s.guardNew(ctx, known); err != nil {
		return err
	}
	half := record{Asks: s.identity, Path: s.Other, Proof: s.proof}
	if err := half.put(ctx, s.b, s.Journal, "prepared"); err != nil {
		return err
	}
	if err := s.b.Run(ctx, dbfile.Stmt("COMMIT"), dbfile.Stmt("DETACH a")); err != nil {
		return err
	}
	err = s.b.Close()
	s.b = nil
	return errors.Join(err, dbfile.CopyMode(s.Journal, s.part))
}

// fillTables copies the tables of the modules, and returns the names of all modules of the journal.
func (s *split) fillTables(ctx context.Context) (known []string, err error) {
	if known, err = inventory.Modules(ctx, s.a); err != nil {
		return nil, err
	}
	objects, err := inventory.Objects(ctx, s.b, "a")
	if err != nil {
		return nil, err
	}
	if err := inventory.CopyObjects(ctx, s.b, "a", inventory.OfModules(objects, s.Modules, known)); err != nil {
		return nil, err
	}
	noting, err := s.b.Texts(ctx, `SELECT sql FROM a.sqlite_schema WHERE `+inventory.IsRecordTrigger)
	for _, text := range noting {
		err = errors.Join(err, s.b.Run(ctx, dbfile.Stmt(text)))
	}
	return known, err
}

// guardNew adds guards to the new journal against all modules of the old journal that do not move.
func (s *split) guardNew(ctx context.Context, known []string) error {
	if err := inventory.CopyGuards(ctx, s.b, "a"); err != nil {
		return err
	}
	moving := map[string]bool{}
	for _, m := range s.Modules {
		moving[m] = true
		if err := inventory.LetIn(ctx, s.b, m); err != nil {
			return err
		}
	}
	for _, m := range known {
		if moving[m] {
			continue
		}
		why := fmt.Sprintf("%s stayed in %s when this journal was split off: run it there, and only the other modules here", m, s.Journal)
		if err := inventory.GuardOut(ctx, s.b, m, why); err != nil {
			return err
		}
	}
	return nil
}

const leaving = `(SELECT s.id FROM main.subscriptions s WHERE s.kind = 'bus' AND ` + inventory.OfMoving + `)`

// left are the statements that delete the rows of the modules from the journal. All events stay.
var left = []string{
	`DELETE FROM main.acts WHERE dead_letter IN (SELECT id FROM main.dead_letters WHERE subscription IN ` + leaving + `)`,
	`DELETE FROM main.open_acts WHERE subscription IN ` + leaving,
	`DELETE FROM main.dead_letters WHERE subscription IN ` + leaving,
	`DELETE FROM main.pending WHERE subscription IN ` + leaving,
	`DELETE FROM main.records WHERE subscription IN ` + leaving,
	`DELETE FROM main.deliveries WHERE subscription IN ` + leaving,
	`DELETE FROM main.subscriptions WHERE id IN ` + leaving,
	`DELETE FROM main.delayed WHERE source IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.migrations WHERE module IN (SELECT value FROM json_each(?1))`,
	insertRelay + `SELECT 'relay', 'group', '[]', 1, head, head FROM (SELECT coalesce((SELECT max(seq) FROM main.events), 0) AS head) WHERE true ON CONFLICT (name) DO NOTHING`,
}

// leave drops the tables and rows of the modules from the journal, and adds guards against the modules.
func (s *split) leave(ctx context.Context) error {
	known, err := inventory.Modules(ctx, s.a)
	if err != nil {
		return err
	}
	objects, err := inventory.Objects(ctx, s.a, "main")
	if err != nil {
		return err
	}
	if err := inventory.DropObjects(ctx, s.a, inventory.OfModules(objects, s.Modules, known)); err != nil {
		return err
	}
	if err := s.a.RunAll(ctx, left, s.Modules); err != nil {
		return err
	}
	for _, m := range s.Modules {
		why := fmt.Sprintf("%s went to %s when this journal was split: run it there, and only the other modules here, or merge %s into %s to bring it back",
			m, s.Other, s.Other, s.Journal)
		if err := inventory.GuardOut(ctx, s.a, m, why); err != nil {
			return err
		}
	}
	return nil
}
