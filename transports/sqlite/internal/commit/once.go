package commit

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

const (
	selectRequest = "SELECT digest = ?, flow, answer FROM requests WHERE module = ? AND key = ? AND until > ?"

	insertRequest = `
INSERT INTO requests (module, key, digest, flow, answer, until) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (module, key) DO UPDATE SET digest = excluded.digest, flow = excluded.flow, answer = excluded.answer, until = excluded.until`

	// Each new request deletes up to two old ones, so that the table shrinks in small steps.
	pruneRequests = "DELETE FROM requests WHERE (module, key) IN (SELECT module, key FROM requests WHERE until <= ? ORDER BY until LIMIT 2)"
)

// Once returns run, with the effect of Work.Once.
func Once(run func(*Unit) error) func(*Unit) error {
	return func(u *Unit) error {
		o := u.it.Work.Once
		if o == nil {
			return run(u)
		}
		if known, err := u.known(o); known || err != nil {
			return err
		}
		if err := run(u); err != nil {
			return err
		}
		return u.remember(o)
	}
}

// known fills o with the answer under its key, and reports whether there is one.
func (u *Unit) known(o *journal.Once) (bool, error) {
	var same bool
	var flow string
	var answer []byte
	found := u.QueryRow(selectRequest, row.Blob(o.Digest), u.it.Work.Module, o.Key, time.Now().UnixMicro())
	err := found.Scan(&same, &flow, &answer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, u.Refuse(err)
	case !same:
		return false, fmt.Errorf("%w: %.60q: choose another key for another request", journal.ErrKeyReused, o.Key)
	}
	o.Flow, o.Answer = flow, answer
	return true, nil
}

func (u *Unit) remember(o *journal.Once) error {
	now := time.Now()
	_, _, err := u.w.kept.prune.Exec(now.UnixMicro())
	if err == nil {
		until := now.Add(o.Keep).UnixMicro()
		_, _, err = u.w.kept.request.Exec(u.it.Work.Module, o.Key, row.Blob(o.Digest), o.Flow, row.Blob(o.Answer), until)
	}
	return u.Refuse(err)
}
