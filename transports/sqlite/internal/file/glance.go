package file

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// Glance runs ask on the database at path, an absolute path without links. Glance changes no file and makes none, not
// even those that SQLite needs for a log. A missing or empty file passes without a call. So does a file that cannot be
// read this way, or that another process writes meanwhile: the caller asks again with the lock of the file.
func Glance(ctx context.Context, path string, ask func(*sql.Conn) error) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 || has(path+"-journal") {
		return nil
	}
	files, err := still.Look(path)
	if err != nil {
		return nil
	}
	params := ReadParams("ro")
	locked := has(path+"-wal") && has(path+"-shm")
	if locked {
		params.Set("readonly_shm", "1") // https://www.sqlite.org/wal.html#read_only_databases
	} else {
		files.Read(params)
	}
	db, err := sql.Open("sqlite3", DSN(path, params))
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(ask(conn), conn.Close())
	}
	err = errors.Join(err, db.Close())
	var failed sqlite3.Error
	if errors.As(err, &failed) && failed.Code != sqlite3.ErrNotADB || !locked && files.Check() != nil {
		return nil
	}
	return err
}

func has(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
