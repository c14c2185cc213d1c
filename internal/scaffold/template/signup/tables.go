package signup

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/bus"
)

// Errors of the module.
var (
	ErrInvalid  = errors.New("signup: a request wants an id and an address, of at most 200 characters each")
	ErrTaken    = errors.New("signup: the id stands for another request: choose another id")
	ErrNotFound = errors.New("signup: no request has this id")
)

// Request is a request of a client. The client chooses ID, and may repeat the request when no answer came.
type Request struct {
	ID      string `json:"-"`
	Address string `json:"address"`
}

func (q Request) check() error {
	if q.ID == "" || q.Address == "" || len(q.ID) > 200 || len(q.Address) > 200 {
		return ErrInvalid
	}
	return nil
}

// Entry is a request with the answers of other modules, by module.
type Entry struct {
	ID      string            `json:"id"`
	Address string            `json:"address"`
	Answers map[string]string `json:"answers"`
}

const insertRequest = `
INSERT INTO signup_requests (id, address) VALUES (?, ?)
ON CONFLICT (id) DO NOTHING`

// insert adds a request, and reports false for a repeated request.
func insert(ctx context.Context, tx bus.SQL, q Request) (fresh bool, err error) {
	res, err := tx.ExecContext(ctx, insertRequest, q.ID, q.Address)
	if err != nil {
		return false, fmt.Errorf("insert request %s: %w", q.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	entry, err := get(ctx, tx, q.ID)
	if err == nil && entry.Address != q.Address {
		err = ErrTaken
	}
	return false, err
}

const insertAnswer = `INSERT INTO signup_answers (id, module, reference) VALUES (?, ?, ?)`

// note writes down the answer of a module.
func note(ctx context.Context, tx bus.SQL, id, module, reference string) error {
	if _, err := tx.ExecContext(ctx, insertAnswer, id, module, reference); err != nil {
		return fmt.Errorf("note the answer of %s to %s: %w", module, id, err)
	}
	return nil
}

const selectEntries = `
SELECT r.id, r.address, coalesce(a.module, ''), coalesce(a.reference, '')
FROM signup_requests r LEFT JOIN signup_answers a ON a.id = r.id
WHERE ?1 = '' OR r.id = ?1`

// All returns all requests by id.
func All(ctx context.Context, tx bus.SQL) (map[string]Entry, error) { return entries(ctx, tx, "") }

func get(ctx context.Context, tx bus.SQL, id string) (Entry, error) {
	found, err := entries(ctx, tx, id)
	if err != nil {
		return Entry{}, err
	}
	entry, ok := found[id]
	if !ok {
		return Entry{}, ErrNotFound
	}
	return entry, nil
}

// entries returns the request of an id, or all requests for an empty id.
func entries(ctx context.Context, tx bus.SQL, id string) (map[string]Entry, error) {
	rows, err := tx.QueryContext(ctx, selectEntries, id)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := map[string]Entry{}
	for rows.Next() {
		var e Entry
		var module, reference string
		if err := rows.Scan(&e.ID, &e.Address, &module, &reference); err != nil {
			return nil, fmt.Errorf("read requests: %w", err)
		}
		if e.Answers = found[e.ID].Answers; e.Answers == nil {
			e.Answers = map[string]string{}
		}
		if module != "" {
			e.Answers[module] = reference
		}
		found[e.ID] = e
	}
	return found, rows.Err()
}
