// Package database creates databases on a real PostgreSQL for schedules of the torture test, and puts copies in their
// place.
package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/troupebus/troupe/internal/pause"
)

// limit is the time until the last connection to a database has ended.
const limit = 20 * time.Second

// Database is a database on a server.
type Database struct {
	URL  string
	name string
	db   *sql.DB // of the server's own database
}

// Create creates a database on the server at, the URL of another database there.
func Create(ctx context.Context, at string) (*Database, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", at)
	if err != nil {
		return nil, err
	}
	name := "torture_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	u.Path = "/" + name
	return &Database{u.String(), name, db}, nil
}

// Drop deletes the database and its copy. At worst, both stay on the server.
func (d *Database) Drop(ctx context.Context) {
	for _, name := range []string{d.name, d.copy()} {
		_, _ = d.db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}
	_ = d.db.Close()
}

func (d *Database) copy() string { return d.name + "_copy" }

// Copy makes a copy of the database. Nothing may connect meanwhile.
func (d *Database) Copy(ctx context.Context) error {
	return d.alone(ctx, "CREATE DATABASE "+d.copy()+" TEMPLATE "+d.name)
}

// Restore puts the copy in the place of the database. Nothing may connect meanwhile.
func (d *Database) Restore(ctx context.Context) error {
	err := d.alone(ctx, "DROP DATABASE "+d.name)
	if err == nil {
		err = d.alone(ctx, "ALTER DATABASE "+d.copy()+" RENAME TO "+d.name)
	}
	return err
}

// alone ends all connections to the database, and runs a statement.
func (d *Database) alone(ctx context.Context, statement string) (err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		_, _ = d.db.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", d.name)
		pause.For(ctx, 100*time.Millisecond) // a backend ends a moment later
		if _, err = d.db.ExecContext(ctx, statement); err == nil {
			return nil
		}
	}
	return err
}
