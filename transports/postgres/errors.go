package postgres

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrClosed is what a Transport answers with after Close.
var ErrClosed = errors.New("postgres: closed")

// SQLSTATEs, as PostgreSQL's manual lists them in its appendix of error codes.
const (
	insufficientPrivilege = "42501"
	undefinedTable        = "42P01"
)

// advice is what to do about an SQLSTATE, or a class of them, which is its first two characters.
var advice = map[string]string{
	"28":                  "the server refuses this user: check user and password in the URL, and the server's pg_hba.conf",
	"3D":                  "create the database, or name another one in the URL",
	"3F":                  "the schemas of search_path do not exist: create one",
	insufficientPrivilege: "have the role granted SELECT, INSERT, UPDATE and DELETE on the tables, and USAGE on their sequence",
	undefinedTable:        "the tables were dropped: subscribe or publish again, and they are made",
	"42704":               "it takes PostgreSQL 13 or later",
	"42883":               "it takes PostgreSQL 13 or later, and tables that are made as Schema says",
	"22P05":               "it takes a database whose encoding is UTF8",
	"25":                  "the server only reads: have the URL lead to the primary, not to a standby",
	"53":                  "the server is short of connections, memory or disk: see its log",
	"57":                  "the server stops or starts: it is tried again",
}

// refusal is an error that trying again does not change, and that says itself what to do.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// Unwrap returns the error that says why.
func (r refusal) Unwrap() error { return r.error }

func refused(err error) bool {
	_, ok := errors.AsType[refusal](err)
	return ok
}

// stateOf is the SQLSTATE of what the server has said, or "".
func stateOf(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// explain adds to err what was tried, and what to do about it.
func (t *Transport) explain(doing string, err error) error {
	state := stateOf(err)
	do := advice[state]
	if do == "" && len(state) == 5 {
		do = advice[state[:2]]
	}
	switch {
	case refused(err), do == "" && state != "":
		return fmt.Errorf("postgres: %s: %w", doing, err)
	case state == "":
		do = "check that PostgreSQL runs at " + where(t.connect) + " and can be reached"
	}
	return fmt.Errorf("postgres: %s: %w: %s", doing, err, do)
}

// passes reports whether trying again may help.
func passes(err error) bool {
	state := stateOf(err)
	switch {
	case refused(err):
		return false
	case len(state) != 5, state == undefinedTable:
		return true
	}
	return slices.Contains([]string{"08", "25", "40", "53", "55", "57", "58"}, state[:2])
}
