package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/mark"
	"github.com/troupebus/troupe/internal/pause"
)

// claimEvery is how often a process checks its claim. The older of two processes stops within this time.
const claimEvery = 5 * time.Second

// claimsTable returns the name of the table of claims: a claim names the process that runs for a journal. A row in a
// topic's table would count as a group, and hold messages. No topic's table can have this name.
func claimsTable(prefix string) string { return prefix + "_claims" }

func claimsStatement(prefix string) string {
	return `CREATE TABLE IF NOT EXISTS ` + quoted(claimsTable(prefix)) +
		` (deployable TEXT NOT NULL, journal TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (deployable, journal))`
}

// claimTopic implements wire.Features.Claim.
func (t *Transport) claimTopic(ctx context.Context, topic string, memory journal.Memory) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	head := t.self.Head(memory)
	_, err := t.identify(ctx)
	var before mark.Mark
	if err == nil {
		before, err = t.claim(ctx, topic, memory)
	}
	switch {
	case errors.Is(err, wire.ErrReplaced):
		return err
	case err != nil:
		return t.explain("claim "+topic, err)
	case !t.self.Wrote(before) && before.Head > head:
		t.warned.Set(topic, olderJournal, fmt.Sprintf("this journal, %s, ends at seq %d, and had %d when it last sent:"+
			" it was restored from a backup, or is a copy. Only the other deployables have the events that it sent after the backup", memory.ID(), head, before.Head))
	}
	return nil
}

// claim notes that this process runs for the journal of memory, and returns the former mark. It returns an ErrReplaced
// when a later process has claimed the journal. For a table that is missing and cannot be created, it only logs a
// warning about topic.
func (t *Transport) claim(ctx context.Context, topic string, memory journal.Memory) (before mark.Mark, err error) {
	before, err = t.tryClaim(ctx, memory)
	if stateOf(err) == undefinedTable && !t.config.NoCreate {
		if err = t.makeClaims(ctx); err == nil {
			before, err = t.tryClaim(ctx, memory)
		}
	}
	const undetected = "cannot detect another process on a copy of this journal: "
	switch stateOf(err) {
	case undefinedTable:
		t.warned.Set(topic, noClaim, undetected+"create the table with: "+claimsStatement(t.config.Prefix))
	case insufficientPrivilege:
		t.warned.Set(topic, noClaim, undetected+"grant the role SELECT, INSERT and UPDATE on table "+claimsTable(t.config.Prefix)+
			", which is created with: "+claimsStatement(t.config.Prefix))
	default:
		if err == nil {
			t.warned.Set(topic, noClaim, "")
		}
		return before, err
	}
	return mark.Mark{}, nil
}

func (t *Transport) makeClaims(ctx context.Context) error {
	return t.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockOf("claims", t.config.Prefix))
		if err == nil {
			_, err = tx.ExecContext(ctx, claimsStatement(t.config.Prefix))
		}
		return err
	})
}

// tryClaim is claim on an existing table. The statements are not in a transaction: an open transaction, in a process
// that is stopped for a while, holds up all messages, and the next process.
func (t *Transport) tryClaim(ctx context.Context, memory journal.Memory) (mark.Mark, error) {
	table, group, id := quoted(claimsTable(t.config.Prefix)), t.config.Group, memory.ID()
	for {
		var before string
		err := t.db.QueryRowContext(ctx, `SELECT mark FROM `+table+` WHERE deployable = $1 AND journal = $2`, group, id).Scan(&before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return mark.Mark{}, err
		}
		m, ours := mark.Parse(before)
		if first := t.self.First("", id); ours {
			if err := t.yield(m, memory, first, "runs as "+group); err != nil {
				return m, err
			}
		}
		mine := t.self.Mark("", memory).String()
		if before == mine { // most of the time
			return m, nil
		}
		result, err := t.db.ExecContext(ctx, `INSERT INTO `+table+` AS c (deployable, journal, mark) VALUES ($1, $2, $3)
			ON CONFLICT (deployable, journal) DO UPDATE SET mark = excluded.mark WHERE c.mark = $4`, group, id, mine, before)
		if err != nil {
			return m, err
		}
		if rows, err := result.RowsAffected(); err != nil || rows > 0 {
			return m, err
		} // another process was faster: read its mark
	}
}

// yield returns an ErrReplaced when m is the mark of a later process on a copy of the journal of memory. All later
// calls of this process then return the error, too.
func (t *Transport) yield(m mark.Mark, memory journal.Memory, first bool, does string) error {
	err := t.self.Yield(m, memory, first, does)
	if err != nil {
		t.setReplaced(err)
	}
	return err
}

// setReplaced ends all activity of this process after another process has taken over.
func (t *Transport) setReplaced(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replaced = err
	t.lose()
}

// replacedErr returns the error of another process that has taken over, or nil.
func (t *Transport) replacedErr() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replaced
}

// keepClaim makes renewClaims renew the claim for the journal of memory.
func (t *Transport) keepClaim(memory journal.Memory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.claimed) == 0 {
		t.running.Go(t.renewClaims)
	}
	t.claimed[memory.ID()] = memory
}

// renewClaims renews the claims until Close, or until another process has taken over. Readers report other errors.
func (t *Transport) renewClaims() {
	for pause.For(t.ctx, claimEvery) {
		t.mu.Lock()
		claimed := slices.Collect(maps.Values(t.claimed))
		t.mu.Unlock()
		for _, memory := range claimed {
			if _, err := t.tryClaim(t.ctx, memory); errors.Is(err, wire.ErrReplaced) {
				t.config.Logger.Error("postgres: another process runs for this journal, so this process stops", slog.Any("error", err))
				return
			}
		}
	}
}
