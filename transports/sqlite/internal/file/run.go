package file

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

const (
	// firstLook is the time after which View looks whether its function is stuck. Each further pause is twice as long.
	firstLook = 200 * time.Millisecond
	// rollbackLimit is how long a rollback may take before View closes the connection. A rollback writes nothing.
	rollbackLimit = time.Second
)

// viewKey is the key of the **viewConn that gets the connection of a view.
type viewKey struct{}

// outcome is the end of a function. A broken function may have left rows that database/sql never closes.
type outcome struct {
	err            error
	broken, exited bool
}

// View runs run in a transaction on db, and rolls the transaction back. A panic of run is an error.
func View(ctx context.Context, db *sql.DB, run func(*sql.Tx) error) error {
	var conn *viewConn
	tx, err := db.BeginTx(context.WithValue(ctx, viewKey{}, &conn), nil)
	if err != nil {
		return row.Explain(err)
	}
	id, ended := make(chan uint64, 1), make(chan outcome, 1)
	go func() {
		id <- goroutine.ID()
		call(tx, run, ended)
	}()
	out := await(<-id, ended)
	var refused sqlite3.Error
	if errors.As(out.err, &refused) && refused.Code == sqlite3.ErrReadonly {
		out.err = fmt.Errorf("%w: a view only reads, write in a unit of work", out.err)
	}
	if !out.broken {
		_ = tx.Rollback() // nothing was written
		return out.err
	}
	rolledBack := make(chan struct{})
	go func() {
		defer close(rolledBack)
		_ = tx.Rollback()
	}()
	select {
	case <-rolledBack:
	case <-time.After(rollbackLimit):
		if conn != nil {
			conn.abandon()
		}
	}
	if out.exited {
		runtime.Goexit()
	}
	return out.err
}

func call(tx *sql.Tx, run func(*sql.Tx) error, ended chan<- outcome) {
	out := outcome{broken: true, exited: true} // unless run returns or panics
	defer func() {
		if v := recover(); v != nil {
			out = outcome{err: fmt.Errorf("panic in a view: %v\n%s", v, debug.Stack()), broken: true}
		}
		ended <- out
	}()
	out = outcome{err: run(tx)}
}

// await returns the outcome of the function in goroutine id, also when the function waits for ever for its own rows.
func await(id uint64, ended <-chan outcome) outcome {
	look := time.NewTimer(firstLook)
	defer look.Stop()
	for pause := 2 * firstLook; ; pause *= 2 {
		select {
		case out := <-ended:
			return out
		case <-look.C:
			if where := goroutine.ClosesForEver(id); where != "" {
				return outcome{err: fmt.Errorf("panic in a view that scanned a row, at %s; database/sql never closes these rows: have Scan return an error", where), broken: true}
			}
			look.Reset(pause)
		}
	}
}
