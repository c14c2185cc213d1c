// Package inventory counts, digests, copies and deletes the rows and tables of modules in a journal. Package move and
// its packages import it.
package inventory

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Part has the sums of a part of a journal by their names, such as "events" or "table order_orders".
type Part map[string]dbfile.Sum

// Inventory has the sums of a whole journal: the rows of the modules that move, and all other rows. Events stay.
type Inventory struct {
	Moving  Part `json:"moving"`
	Staying Part `json:"staying"`
}

// Names of sums that the packages of a move read.
const (
	Events        = "events"
	Emitted       = "events emitted"
	Waiting       = "waiting"
	ToSend        = "events to send"
	RecordsToSend = "records to send"
	PassedOver    = "passed over"
)

const (
	// SubscriptionColumns are the columns of a subscription that a move copies as they are, beside the name and the types.
	SubscriptionColumns = `retired_at, since, was, version, rebuilds, run_of, retired_by, retired_why`

	// EventContent are the columns of the event e without its number.
	EventContent = `e.id, e.type, e.version, e.source, e.key, e.time, e.correlation_id, e.causation_id, e.subscription, e.hops, e.metadata, e.data`

	// moduleOf is the module of the subscription s.
	moduleOf = `substr(s.name, 1, instr(s.name, '/') - 1)`
	// OfMoving is true for a subscription s of a module that moves.
	OfMoving = moduleOf + ` IN (SELECT value FROM json_each(?1))`

	// IsWaiting is true when subscription s consumes event e and has no answer. An event without an answer below the
	// cursor is an error of the journal, which the journal's own check finds.
	IsWaiting = `s.kind = 'bus' AND s.except_of = 0 AND e.seq > s.cursor
	AND NOT EXISTS (SELECT 1 FROM main.deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)`
)

// relayAt returns the SQL for the cursor or the start_seq of the relay of the journal schema. In a journal without a
// relay, the relay is to begin with the first event of the flows that are not finished: an observer must see their
// outcomes.
func relayAt(schema, column string) string {
	return strings.ReplaceAll(`coalesce((SELECT `+column+` FROM main.subscriptions WHERE kind = 'group' AND name = 'relay'), (
	SELECT min(seq) - 1 FROM main.events WHERE correlation_id IN (
		SELECT e.correlation_id FROM main.events e WHERE e.seq IN (
			SELECT seq FROM main.pending UNION SELECT seq FROM main.dead_letters WHERE status IN ('dead', 'replaying'))
		UNION SELECT e.correlation_id FROM main.subscriptions s CROSS JOIN main.events e
			ON e.type IN (SELECT value FROM json_each(s.types)) WHERE s.retired_at IS NULL AND `+IsWaiting+`
		UNION SELECT correlation_id FROM main.delayed)), (SELECT max(seq) FROM main.events), 0)`, "main.", schema+".")
}

// counted are the queries for the rows of the journal's own tables. ?1 is a JSON array of the modules that move. Each
// query returns whether the rows move, a name, the number of rows, and their digest. A digest has the event in place of
// its sequence number, and no id that is valid in a single file only.
var counted = []string{`
SELECT 0, 'events', count(*), digest(` + EventContent + `) FROM main.events e`, `
SELECT 1, 'events emitted', count(*), digest(` + EventContent + `) FROM main.events e WHERE e.source IN (SELECT value FROM json_each(?1))`, `
SELECT 1, 'events to send', count(*), digest(` + EventContent + `) FROM main.events e
WHERE e.source IN (SELECT value FROM json_each(?1)) AND e.seq > ` + relayAt("main", "cursor"), `
SELECT ` + OfMoving + `, 'subscriptions', count(*), digest(s.name, s.kind, s.types, s.except_of, ` + SubscriptionColumns + `)
FROM main.subscriptions s WHERE s.kind = 'bus' GROUP BY 1`, `
SELECT ` + OfMoving + `, 'types from a time on', count(*), digest(s.name, t.type, t.since)
FROM main.type_starts t JOIN main.subscriptions s ON s.id = t.subscription GROUP BY 1`, `
SELECT ` + OfMoving + `, CASE WHEN d.outcome = 'skipped' AND d.attempts = 0 THEN 'passed over' ELSE 'deliveries ' || d.outcome END, count(*),
	digest(s.name, e.id, e.type, d.outcome, d.attempts, d.started_at, d.duration, d.error)
FROM main.deliveries d LEFT JOIN main.subscriptions s ON s.id = d.subscription LEFT JOIN main.events e ON e.seq = d.seq GROUP BY 1, 2`, `
SELECT ` + OfMoving + `, 'waiting', count(*), digest(s.name, e.id, e.type)
FROM main.subscriptions s CROSS JOIN main.events e ON e.type IN (SELECT value FROM json_each(s.types)) WHERE ` + IsWaiting + ` GROUP BY 1`, `
SELECT ` + OfMoving + `, 'pending ' || p.state, count(*), digest(s.name, p.key, e.id, e.type, p.state, p.attempts, p.due_at, p.failed_at)
FROM main.pending p LEFT JOIN main.subscriptions s ON s.id = p.subscription LEFT JOIN main.events e ON e.seq = p.seq GROUP BY 1, 2`, `
SELECT ` + OfMoving + `, 'dead letters ' || l.status, count(*),
	digest(s.name, e.id, e.type, l.error, l.stack, l.attempts, l.first_failed_at, l.dead_at, l.status)
FROM main.dead_letters l LEFT JOIN main.subscriptions s ON s.id = l.subscription LEFT JOIN main.events e ON e.seq = l.seq GROUP BY 1, 2`, `
SELECT ` + OfMoving + `, 'acts on dead letters', count(*), digest(s.name, e.id, e.type, a.at, a.actor, a.act, a.reason)
FROM main.acts a LEFT JOIN main.dead_letters l ON l.id = a.dead_letter LEFT JOIN main.subscriptions s ON s.id = l.subscription
LEFT JOIN main.events e ON e.seq = l.seq GROUP BY 1`, `
SELECT ` + OfMoving + `, 'acts on open deliveries', count(*), digest(s.name, e.id, e.type, a.at, a.actor, a.act, a.reason)
FROM main.open_acts a LEFT JOIN main.subscriptions s ON s.id = a.subscription LEFT JOIN main.events e ON e.seq = a.seq GROUP BY 1`, `
SELECT ` + OfMoving + `, 'records to send', count(*), digest(s.name, e.id, e.type)
FROM main.records r LEFT JOIN main.subscriptions s ON s.id = r.subscription LEFT JOIN main.events e ON e.seq = r.seq GROUP BY 1`, `
SELECT source IN (SELECT value FROM json_each(?1)), 'delayed events', count(*), digest(due_at, event_id, type, version, source, key,
	correlation_id, causation_id, subscription, hops, data, metadata, name) FROM main.delayed GROUP BY 1`, `
SELECT module IN (SELECT value FROM json_each(?1)), 'idempotency keys', count(*), digest(module, key, digest, flow, answer, until)
FROM main.requests GROUP BY 1`, `
SELECT ` + OfMoving + `, 'schedules', count(*), digest(s.name, s.spec, s.last_at, s.next_at) FROM main.schedules s GROUP BY 1`, `
SELECT source IN (SELECT value FROM json_each(?1)), 'cancelled events', count(*), digest(` + CancelledColumns + `) FROM main.cancelled GROUP BY 1`, `
SELECT module IN (SELECT value FROM json_each(?1)), 'migrations', count(*), digest(module, name, checksum, applied_at)
FROM main.migrations WHERE module <> 'journal' GROUP BY 1`,
}

// Take counts and digests all rows of f.
func Take(ctx context.Context, f *dbfile.File, modules []string) (Inventory, error) {
	inv := Inventory{Moving: Part{}, Staying: Part{}}
	arg := dbfile.List(modules)
	for _, query := range counted {
		if err := inv.count(ctx, f, dbfile.Stmt(query, arg)); err != nil {
			return inv, err
		}
	}
	objects, err := Objects(ctx, f, "main")
	if err != nil {
		return inv, err
	}
	known, err := Modules(ctx, f)
	if err != nil {
		return inv, err
	}
	for _, o := range objects {
		owner := Owner(o.Table, slices.Concat(known, modules))
		p := inv.Staying
		if slices.Contains(modules, owner) {
			p = inv.Moving
		}
		if owner != "" {
			p["schema"] = p["schema"].Plus(o.sum())
		}
		if o.Kind != "table" {
			continue
		}
		query, err := o.digestQuery(ctx, f)
		if err != nil {
			return inv, err
		}
		var s dbfile.Sum
		if err := f.QueryRowContext(ctx, query).Scan(&s.Rows, dbfile.ScanDigest(&s)); err != nil {
			return inv, err
		}
		p["table "+o.Name] = s
	}
	return inv, nil
}

// count adds the results of a query of counted.
func (inv Inventory) count(ctx context.Context, f *dbfile.File, s dbfile.Step) error {
	return f.Each(ctx, s, func(rows *sql.Rows) error {
		var moving sql.NullBool
		var name string
		var sum dbfile.Sum
		if err := rows.Scan(&moving, &name, &sum.Rows, dbfile.ScanDigest(&sum)); err != nil {
			return err
		}
		p := inv.Staying
		if moving.Bool {
			p = inv.Moving
		}
		p[name] = p[name].Plus(sum)
		return nil
	})
}

// LastSeq is the number of the last event.
const LastSeq = `coalesce((SELECT max(seq) FROM main.events), 0)`

// IsRecordTrigger selects the triggers that record deliveries for observers.
const IsRecordTrigger = `type = 'trigger' AND tbl_name = 'deliveries' AND name LIKE 'records\_%' ESCAPE '\'`

// Columns of deliveries and dead letters without the numbers of events and the ids of subscriptions.
const (
	DeliveryColumns = `outcome, attempts, started_at, duration, error`
	LetterColumns   = `error, stack, attempts, first_failed_at, dead_at, status`
)
