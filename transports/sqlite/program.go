package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
)

// checkOwner refuses a journal of another program than j.cfg.Program, before any write.
func (j *Journal) checkOwner(ctx context.Context, c *sql.Conn) error {
	if j.cfg.Program == nil || j.cfg.Adopt {
		return nil
	}
	o, err := reader.OwnerOf(ctx, c)
	if err != nil || o.Program == nil && o.Observed { // Subscribe refuses an observer's journal, with a better error
		return err
	}
	if other := o.Other(j.cfg.Program); other != nil {
		return other
	}
	return nil
}

// keepProgram stores the program in the journal.
func (j *Journal) keepProgram(ctx context.Context, c *sql.Conn) error {
	p := j.cfg.Program
	if p == nil {
		return nil
	}
	declares, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO program (one, name, declares) VALUES (1, ?, ?)
ON CONFLICT (one) DO UPDATE SET name = excluded.name, declares = excluded.declares
WHERE name <> excluded.name OR declares <> excluded.declares`, p.Name, string(declares))
	return err
}
