package postgres

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("postgres: closed")

// SQLSTATEs, from the appendix of error codes in PostgreSQL's manual.
const (
	insufficientPrivilege = "42501"
	undefinedTable        = "42P01"
)

// advice is the advice for an SQLSTATE or for a class, which is the first two characters of an SQLSTATE.
var advice = map[string]string{
	"28":                  "the server refuses this user: check user and password in the URL, and the server's pg_hba.conf",
	"3D":                  "create the database, or name another one in the URL",
	"3F":                  "the schemas of search_path do not exist: create one",
	insufficientPrivilege: "grant the role SELECT, INSERT, UPDATE and DELETE on the tables, and USAGE on their sequence",
	undefinedTable:        "the tables were dropped: the next Publish or Subscribe creates them again",
	"42704":               "PostgreSQL 13 or later is required",
	"42883":               "PostgreSQL 13 or later is required, and tables as Schema creates them",
	"22P05":               "the encoding of the database must be UTF8",
	"25006":               "the server is read-only: use the URL of the primary, not of a standby",
	"25P03":               "the process was paused inside a transaction, and the server ended the session: this is retried",
	"55P03":               "another session holds a lock on the tables for longer than Timeout: see pg_locks",
	"53":                  "the server lacks connections, memory or disk: see its log",
	"57":                  "the server is starting or stopping: this is retried",
}

// permanentError is an error that a retry cannot change. Its text includes the advice.
type permanentError struct{ error }

func permanentf(format string, args ...any) error { return permanentError{fmt.Errorf(format, args...)} }

// Unwrap is for errors.Is and errors.As.
func (p permanentError) Unwrap() error { return p.error }

func permanent(err error) bool {
	_, ok := errors.AsType[permanentError](err)
	return ok
}

// stateOf returns the SQLSTATE of an error of the server, or "".
func stateOf(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// explain adds to err the failed operation and advice.
func (t *Transport) explain(doing string, err error) error {
	state := stateOf(err)
	do := advice[state]
	if do == "" && len(state) == 5 {
		do = advice[state[:2]]
	}
	switch {
	case permanent(err), do == "" && state != "":
		return fmt.Errorf("%s: %w", doing, err)
	case state == "":
		do = "check that PostgreSQL runs at " + serverName(t.connect) + " and can be reached"
	}
	return fmt.Errorf("%s: %w: %s", doing, err, do)
}

// retryable reports whether a retry may help.
func retryable(err error) bool {
	state := stateOf(err)
	switch {
	case permanent(err):
		return false
	case len(state) != 5, state == undefinedTable:
		return true
	}
	return slices.Contains([]string{"08", "25", "40", "53", "55", "57", "58"}, state[:2])
}
