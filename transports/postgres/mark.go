package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/mark"
)

// markColumn has the mark of the process that wrote a place; in the row of noGroup, the numbering of the messages
// (renumber).
const markColumn = "mark"

// After implements mark.Position.
func (p place) After(other place) bool {
	return p.transaction > other.transaction || p.transaction == other.transaction && p.offset > other.offset
}

// Offset implements mark.Position.
func (p place) Offset() int64 { return p.offset }

// String returns p for parsePlace.
func (p place) String() string { return fmt.Sprintf("%d/%d", p.transaction, p.offset) }

func parsePlace(text string) (p place, ok bool) {
	n, err := fmt.Sscanf(text, "%d/%d", &p.transaction, &p.offset)
	return p, n == 2 && err == nil
}

// tableID identifies the messages of a topic, beyond their table's name. Places of another database, another table or
// another numbering mean nothing in it.
type tableID struct{ database, table, numbering string }

// String returns id as it is noted.
func (id tableID) String() string { return id.database + ":" + id.table + ":" + id.numbering }

// madeAnew reports whether text identifies another table in the same database.
func (id tableID) madeAnew(text string) bool {
	parts := strings.SplitN(text, ":", 3)
	return len(parts) == 3 && parts[0] == id.database && parts[1] != id.table
}

// kept is what the server keeps of a group's place.
type kept struct {
	place place
	mark  mark.Mark
	ours  bool // mark is one of this program's
}

// any reports whether there is anything but the row that Subscribe makes.
func (k kept) any() bool { return k.place != place{} || k.ours }

// noted is what a journal notes of a place.
type noted struct {
	place place
	in    string // the identity of the messages
	any   bool
}

// noteName is the name under which the journal notes the place.
func (r *reader) noteName() string { return r.group + " " + r.tables.messages }

// readNoted reads what the journal notes. The transaction is part of the topic's identity there, so that it and the
// offset are one note: of two notes a crash may leave one, and offsets of two transactions are in no order.
func (r *reader) readNoted(ctx context.Context) (n noted, err error) {
	if r.memory == nil {
		return n, nil
	}
	all, err := r.memory.Noted(ctx, r.noteName())
	if err != nil {
		return n, err
	}
	note, found := all[0]
	cut := strings.LastIndexByte(note.Topic, ' ')
	if !found || cut < 0 {
		return n, nil
	}
	_, err = fmt.Sscan(note.Topic[cut+1:], &n.place.transaction)
	n.in, n.place.offset, n.any = note.Topic[:cut], note.Next, err == nil
	return n, nil
}

// note has the journal note that everything up to p was taken in.
func (r *reader) note(p place) {
	if r.memory != nil && r.marked {
		r.memory.Note(r.noteName(), 0, journal.Noted{Topic: fmt.Sprintf("%s %d", r.id, p.transaction), Next: p.offset})
	}
}

// begins decides where to begin, of which the server keeps k and the journal notes n. A place is in the database of the
// messages: it is restored along with them, and moves along when they are numbered again, while what the journal notes
// does not.
func (r *reader) begins(k kept, n noted) mark.Begin[place] {
	known := mark.Known[place]{Where: "topic " + r.tables.topic, Group: r.group, Topic: r.id.String()}
	if n.any && (n.in == known.Topic || !k.any()) {
		known.Noted, known.NotedIn = &n.place, n.in
	}
	if k.any() {
		known.Kept, known.Mark, known.Ours = &k.place, k.mark, k.ours
		switch m := &known.Mark; {
		case !k.ours || r.id.madeAnew(m.Topic):
		case m.Topic != known.Topic:
			m.Topic = known.Topic
		default:
			known.Ours = m.At == k.place.String() // otherwise somebody has moved the place, and left the mark
		}
		if was, ok := parsePlace(known.Mark.Was); ok && known.Ours {
			known.Kept = &was
		}
	}
	return known.Begin(r.t.self, r.memory)
}

// writePlace writes a place with its mark.
const writePlace = `
INSERT INTO %s (consumer_group, offset_acked, last_processed_transaction_id, ` + markColumn + `) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer_group) DO UPDATE SET offset_acked = excluded.offset_acked,
	last_processed_transaction_id = excluded.last_processed_transaction_id, ` + markColumn + ` = excluded.` + markColumn

// write writes p, with m as its mark.
func (r *reader) write(ctx context.Context, on interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
}, p place, m mark.Mark) error {
	m.At = p.String()
	query := fmt.Sprintf(writePlace, quoted(r.tables.offsets))
	_, err := on.Exec(ctx, query, r.group, p.offset, p.transaction, m.String())
	return err
}

// settle writes where the reader begins. When that is trouble, the place is put back at most, so that nothing is
// deleted that is to be read, and keeps the mark that says so: a process that ends before the trouble is acknowledged
// tells it again.
func (r *reader) settle(ctx context.Context, tx pgx.Tx, k kept, at mark.Begin[place]) error {
	switch {
	case !r.marked:
		return nil
	case at.Trouble == "":
		r.note(at.From)
		return r.write(ctx, tx, at.From, r.t.self.Mark(r.id.String(), r.memory))
	case k.ours && k.place.After(at.From):
		m := k.mark
		if m.Was == "" {
			m.Was = k.place.String()
		}
		if !r.id.madeAnew(m.Topic) {
			m.Topic = r.id.String()
		}
		return r.write(ctx, tx, at.From, m)
	}
	return nil
}

// selectPlace reads a group's place, the number of the table of messages, and their numbering.
const selectPlace = `
SELECT offset_acked, last_processed_transaction_id, %[3]s, %[2]s::regclass::oid::text,
	coalesce((SELECT %[3]s FROM %[1]s WHERE consumer_group = ''), '')
FROM %[1]s WHERE consumer_group = $1 FOR UPDATE`

// readPlace reads the place, and sets the identity of the messages.
func (r *reader) readPlace(ctx context.Context, tx pgx.Tx) (k kept, err error) {
	column := `coalesce(` + markColumn + `, '')`
	if !r.marked {
		column = `''`
	}
	var text string
	query := fmt.Sprintf(selectPlace, quoted(r.tables.offsets), `$2::text`, column)
	err = tx.QueryRow(ctx, query, r.group, quoted(r.tables.messages)).
		Scan(&k.place.offset, &k.place.transaction, &text, &r.id.table, &r.id.numbering)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it was given up after we made it known again
		return k, refuse("the place of group %s was deleted just now: subscribe again", r.group)
	case err != nil:
		return k, fmt.Errorf("read the place of group %s: %w", r.group, err)
	}
	r.t.mu.Lock()
	r.id.database = r.t.identity
	r.t.mu.Unlock()
	k.mark, k.ours = mark.Parse(text)
	return k, nil
}

// takeUp finds out where the reader begins, and what there is to say of that. Nothing is deleted meanwhile that would
// leave a gap in what is read (prune.go).
func (r *reader) takeUp(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, lockOf("prune", r.tables.messages))
	if err != nil {
		return err
	}
	k, err := r.readPlace(ctx, tx)
	if err != nil {
		return err
	}
	at := mark.Begin[place]{From: k.place}
	if r.marked {
		if first := r.t.self.First(r.tables.messages, r.group); k.ours && r.memory != nil {
			if err := r.t.yield(k.mark, r.memory, first, "reads as group "+r.group); err != nil {
				return err
			}
		}
		at = r.begins(k, r.noted)
	}
	if at.Forgotten {
		r.t.config.Logger.Warn("postgres: the place is gone: it was given up, or somebody deleted it: read on where the journal was",
			slog.String("topic", r.tables.topic), slog.String("group", r.group), slog.Int64("offset", at.From.offset))
	}
	err = tx.QueryRow(ctx, `SELECT offset_acked, last_processed_transaction_id FROM `+quoted(r.tables.offsets)+`
		WHERE consumer_group = $1 AND (last_processed_transaction_id, offset_acked) > ($2, $3)`,
		noGroup, at.From.transaction, at.From.offset).
		Scan(&r.deleted.offset, &r.deleted.transaction)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read what was deleted: %w", err)
	}
	r.read, r.kept, r.trouble, r.first = at.From, at.From, at.Trouble, at.First && r.memory != nil
	if at.Trouble != "" {
		r.kept = nowhere
	}
	return r.settle(ctx, tx, k, at)
}

// nowhere is no place: as long as a trouble is not acknowledged, nothing is kept.
var nowhere = place{offset: -1}
