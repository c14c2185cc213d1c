package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/troupebus/troupe/bus"
)

// act handles an event in its transaction, in the event's mood. Moods of other handlers have no effect.
func (p *program) act(ctx context.Context, e Asked) (bus.Events, error) {
	if !p.good {
		p.calls.Add(1)
		if out, err := p.misbehave(ctx, e); out != nil || err != nil {
			return out, err
		}
	}
	if e.Mood == "loud" {
		return bus.Emit(Loud{Key: e.Key}), row(ctx, "moody", e.Key, e.N)
	}
	return nil, row(ctx, "moody", e.Key, e.N)
}

func (p *program) misbehave(ctx context.Context, e Asked) (bus.Events, error) {
	tx := bus.Tx(ctx)
	switch e.Mood {
	case "foreign-key":
		return nil, exec(tx, "INSERT INTO moody_child (parent) VALUES (77)")
	case "or-rollback":
		return nil, exec(tx, "INSERT OR ROLLBACK INTO moody_once VALUES (1, 2)")
	case "raise-rollback":
		return nil, exec(tx, "INSERT INTO moody_picky VALUES (1)")
	case "returning":
		rows, err := tx.Query("INSERT INTO moody_big VALUES (1), (2), (3) RETURNING n") //nolint: left open on purpose
		if err != nil {
			return nil, err
		}
		rows.Next()
	case "own-context":
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := tx.ExecContext(short, "INSERT INTO moody_big WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 30000000) SELECT x FROM c")
		return nil, err
	case "commit":
		return nil, exec(tx, "COMMIT")
	case "rollback":
		return nil, exec(tx, "ROLLBACK")
	case "hang":
		<-context.Background().Done()
	case "hang-raw":
		return nil, hangWithRawBytes(tx)
	case "panic":
		panic("moody")
	case "shocking":
		return bus.Emit(Shocking{Key: e.Key}), nil
	case "inside":
		_, err := p.front.Publish(context.Background(), Inside{Key: e.Key}) //troupe:allow nested the mood is this mistake
		return nil, errors.Join(errors.New("moody"), err)
	case "dead":
		return nil, bus.Dead(errors.New("moody"))
	case "sick":
		if !p.healed.Load() {
			return nil, bus.Dead(errors.New("sick"))
		}
	}
	return nil, nil
}

func exec(tx bus.SQL, query string) error {
	_, err := tx.Exec(query)
	return err
}

// hangWithRawBytes never returns, and keeps rows of the driver open.
func hangWithRawBytes(tx bus.SQL) error {
	rows, err := tx.Query("SELECT zeroblob(100000)")
	if err != nil {
		return err
	}
	rows.Next()
	var raw sql.RawBytes
	if err := rows.Scan(&raw); err != nil {
		return err
	}
	<-context.Background().Done()
	return rows.Close()
}

// callMoodily makes an external call, in the event's mood.
func (p *program) callMoodily(ctx context.Context, e Asked) (bus.Events, error) {
	during := func() {}
	if !p.good {
		switch e.Mood {
		case "deaf": // ignores the end of its context
			during = func() { time.Sleep(2 * time.Second) }
		case "late":
			during = func() { time.Sleep(100 * time.Millisecond) }
		case "panic":
			during = func() { panic("moody") }
		case "also-foreign-key":
			if err := p.record(ctx, e.Key, during); err != nil {
				return nil, err
			}
			return bus.Emit().Also(func(ctx context.Context) error {
				return exec(bus.Tx(ctx), "INSERT INTO moody_child (parent) VALUES (77)")
			}), nil
		}
	}
	if err := p.record(ctx, e.Key, during); err != nil {
		return nil, err
	}
	return bus.Emit().Also(func(ctx context.Context) error { return row(ctx, "moody", e.Key, e.N) }), nil
}

// patient is retried until it succeeds. A flaky event succeeds once the handlers are healed, and a later event also
// waits for its retry. A sick event is a dead letter until the handlers are healed.
func (p *program) patient(ctx context.Context, e Asked) (bus.Events, error) {
	if !p.good && !p.healed.Load() {
		switch e.Mood {
		case "flaky":
			return nil, errors.New("not yet")
		case "later":
			return nil, bus.RetryAfter(15*time.Second, errors.New("much later"))
		case "sick":
			return nil, bus.Dead(errors.New("sick"))
		}
	}
	return nil, row(ctx, "moody", e.Key, e.N)
}
