package rollback

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/bus"
)

func direct(ctx context.Context) error {
	defer bus.Tx(ctx).(*sql.Tx).Rollback() // want "Rollback ends the transaction of the bus"
	tx := bus.Tx(ctx).(*sql.Tx)
	return tx.Commit() // want "Commit ends the transaction of the bus: leave the end to the bus"
}

func asked(s bus.SQL) {
	if tx, ok := s.(interface{ Rollback() error }); ok {
		defer tx.Rollback() // want "Rollback ends"
	}
	raw, _ := s.(*sql.Tx)
	raw.Exec("SELECT 1")
	raw.Rollback() //troupe:allow rollback a test of the error
}

func own(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return tx.Commit()
}
