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

// markColumn contains the mark of the process that wrote a position; in the row of noGroup, the numbering of the
// messages (renumber).
const markColumn = "mark"

// After implements mark.Position.
func (p position) After(other position) bool {
	return p.transaction > other.transaction || p.transaction == other.transaction && p.offset > other.offset
}

// Offset implements mark.Position.
func (p position) Offset() int64 { return p.offset }

// String returns p for parsePosition.
func (p position) String() string { return fmt.Sprintf("%d/%d", p.transaction, p.offset) }

func parsePosition(text string) (p position, ok bool) {
	n, err := fmt.Sscanf(text, "%d/%d", &p.transaction, &p.offset)
	return p, n == 2 && err == nil
}

// tableID identifies the messages of a topic. A position in another database, another table or another numbering is
// meaningless.
type tableID struct{ database, table, numbering string }

// String returns id for a mark, or for a journal's note.
func (id tableID) String() string { return id.database + ":" + id.table + ":" + id.numbering }

// madeAnew reports whether text identifies another table in the same database.
func (id tableID) madeAnew(text string) bool {
	parts := strings.SplitN(text, ":", 3)
	return len(parts) == 3 && parts[0] == id.database && parts[1] != id.table
}

// kept is a group's position on the server.
type kept struct {
	position position
	mark     mark.Mark
	ours     bool // this program wrote the mark
}

// exists reports whether there is more than the row that Subscribe creates.
func (k kept) exists() bool { return k.position != position{} || k.ours }

// noted is a journal's note of a position.
type noted struct {
	position position
	in       string // identity of the messages
	exists   bool
}

// noteName returns the name under which the journal notes the position.
func (r *reader) noteName() string { return r.group + " " + r.tables.messages }

// readNoted reads the journal's note. The transaction is part of the topic's identity in the note, so that a single
// note contains the transaction and the offset: a crash may leave one of two notes, and the offsets of different
// transactions are in no order.
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
	_, err = fmt.Sscan(note.Topic[cut+1:], &n.position.transaction)
	n.in, n.position.offset, n.exists = note.Topic[:cut], note.Next, err == nil
	return n, nil
}

// note makes the journal note the position p.
func (r *reader) note(p position) {
	if r.memory != nil && r.marked {
		r.memory.Note(r.noteName(), 0, journal.Noted{Topic: fmt.Sprintf("%s %d", r.id, p.transaction), Next: p.offset})
	}
}

// startAt decides where to begin. The server stores k, and the journal notes n. The position on the server is in the
// database of the messages. So it is restored along with them, and adjusted when they are numbered again; the journal's
// note is not.
func (r *reader) startAt(k kept, n noted) mark.Begin[position] {
	known := mark.Known[position]{Where: "topic " + r.tables.topic, Group: r.group, Topic: r.id.String()}
	if n.exists && (n.in == known.Topic || !k.exists()) {
		known.Noted, known.NotedIn = &n.position, n.in
	}
	if k.exists() {
		known.Kept, known.Mark, known.Ours = &k.position, k.mark, k.ours
		switch m := &known.Mark; {
		case !k.ours || r.id.madeAnew(m.Topic):
		case m.Topic != known.Topic:
			m.Topic = known.Topic
		default:
			known.Ours = m.At == k.position.String() // otherwise the position was changed without its mark
		}
		if was, ok := parsePosition(known.Mark.Was); ok && known.Ours {
			known.Kept = &was
		}
	}
	return known.Begin(r.t.self, r.memory)
}

// writePosition writes a position with its mark.
const writePosition = `
INSERT INTO %s (consumer_group, offset_acked, last_processed_transaction_id, ` + markColumn + `) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer_group) DO UPDATE SET offset_acked = excluded.offset_acked,
	last_processed_transaction_id = excluded.last_processed_transaction_id, ` + markColumn + ` = excluded.` + markColumn

// write writes the position p, with the mark m.
func (r *reader) write(ctx context.Context, on interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
}, p position, m mark.Mark) error {
	m.At = p.String()
	query := fmt.Sprintf(writePosition, quoted(r.tables.offsets))
	_, err := on.Exec(ctx, query, r.group, p.offset, p.transaction, m.String())
	return err
}

// writeStart writes the position at which the reader begins. After trouble, it only moves the position backwards, so
// that no message is deleted that is still to be read, and keeps the mark that caused the trouble: a process that ends
// before the trouble is acknowledged reports the trouble again.
func (r *reader) writeStart(ctx context.Context, tx pgx.Tx, k kept, at mark.Begin[position]) error {
	switch {
	case !r.marked:
		return nil
	case at.Trouble == "":
		r.note(at.From)
		return r.write(ctx, tx, at.From, r.t.self.Mark(r.id.String(), r.memory))
	case k.ours && k.position.After(at.From):
		m := k.mark
		if m.Was == "" {
			m.Was = k.position.String()
		}
		if !r.id.madeAnew(m.Topic) {
			m.Topic = r.id.String()
		}
		return r.write(ctx, tx, at.From, m)
	}
	return nil
}

// selectPosition reads a group's position, the id of the table of messages, and the numbering of the messages.
const selectPosition = `
SELECT offset_acked, last_processed_transaction_id, %[3]s, %[2]s::regclass::oid::text,
	coalesce((SELECT %[3]s FROM %[1]s WHERE consumer_group = ''), '')
FROM %[1]s WHERE consumer_group = $1 FOR UPDATE`

// readPosition reads the group's position, and sets the identity of the messages.
func (r *reader) readPosition(ctx context.Context, tx pgx.Tx) (k kept, err error) {
	column := `coalesce(` + markColumn + `, '')`
	if !r.marked {
		column = `''`
	}
	var text string
	query := fmt.Sprintf(selectPosition, quoted(r.tables.offsets), `$2::text`, column)
	err = tx.QueryRow(ctx, query, r.group, quoted(r.tables.messages)).
		Scan(&k.position.offset, &k.position.transaction, &text, &r.id.table, &r.id.numbering)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // deleted after connectGroup
		return k, permanentf("the position of group %s was deleted just now: subscribe again", r.group)
	case err != nil:
		return k, fmt.Errorf("read the position of group %s: %w", r.group, err)
	}
	r.t.mu.Lock()
	r.id.database = r.t.identity
	r.t.mu.Unlock()
	k.mark, k.ours = mark.Parse(text)
	return k, nil
}

// findStart finds the position at which to begin, and trouble with that position. Its lock prevents deletions that
// would leave a gap in the messages (prune.go).
func (r *reader) findStart(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, lockOf("prune", r.tables.messages))
	if err != nil {
		return err
	}
	k, err := r.readPosition(ctx, tx)
	if err != nil {
		return err
	}
	at := mark.Begin[position]{From: k.position}
	if r.marked {
		if first := r.t.self.First(r.tables.messages, r.group); k.ours && r.memory != nil {
			if err := r.t.yield(k.mark, r.memory, first, "reads as group "+r.group); err != nil {
				return err
			}
		}
		at = r.startAt(k, r.noted)
	}
	if at.Forgotten {
		r.t.config.Logger.Warn("postgres: the position is missing, deleted by age or by an operator: reading continues where the journal was",
			slog.String("topic", r.tables.topic), slog.String("group", r.group), slog.Int64("offset", at.From.offset))
	}
	err = tx.QueryRow(ctx, `SELECT offset_acked, last_processed_transaction_id FROM `+quoted(r.tables.offsets)+`
		WHERE consumer_group = $1 AND (last_processed_transaction_id, offset_acked) > ($2, $3)`,
		noGroup, at.From.transaction, at.From.offset).
		Scan(&r.deleted.offset, &r.deleted.transaction)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the position of the last deletion: %w", err)
	}
	r.read, r.kept, r.trouble, r.first = at.From, at.From, at.Trouble, at.First && r.memory != nil
	if at.Trouble != "" {
		r.kept = noPosition
	}
	return r.writeStart(ctx, tx, k, at)
}

// noPosition stands for no position: a reader with trouble stores none until the trouble is acknowledged.
var noPosition = position{offset: -1}
