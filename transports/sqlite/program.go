package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/troupebus/troupe/transports/sqlite/internal/owner"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// refuse returns an error for a file that this program must not write, and writes nothing. making says that the file is
// new and may be empty. adopts says that the journal is another program's, and is to be adopted.
func (c Config) refuse(ctx context.Context, conn *sql.Conn, making bool) (adopts bool, err error) {
	if c.Program != nil {
		adopts, err = owner.Check(ctx, conn, c.Program, c.Adopt)
	}
	if err != nil {
		return false, err
	}
	return adopts, schema.Claimable(ctx, conn, making)
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
