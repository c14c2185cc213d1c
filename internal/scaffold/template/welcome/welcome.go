// Package welcome sends a message for every request, and knows only the contract of module signup.
package welcome

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/scaffold/template/signup/signupevents"
	"github.com/troupebus/troupe/internal/scaffold/template/welcome/welcomeevents"
)

//go:embed schema/*.sql
var schema embed.FS

// parallel is the number of concurrent calls of the provider.
const parallel = 8

// patient spans more than eight hours: no dead letters after a night without the provider.
var patient = bus.Retry{Attempts: 75}

// Wire puts the module on b. The provider p sends the messages.
func Wire(b *bus.Bus, p Provider) {
	m := b.Module("welcome").Migrations(schema)

	// An external handler has no transaction: the handler may wait for the outside. After a crash the handler is
	// called again with the same Key, for which the provider acts once.
	bus.On(m, "send", func(ctx context.Context, e signupevents.Accepted) (bus.Events, error) {
		reference, err := p.Send(ctx, Message{Key: bus.Delivery(ctx).ID, To: e.Address})
		switch {
		case errors.Is(err, ErrRefused):
			return nil, bus.Dead(err) // no retry helps: a dead letter, for a person to replay or drop
		case err != nil:
			return nil, err // tried again, later and later
		}
		sent := welcomeevents.Sent{ID: e.ID, Reference: reference}
		return bus.Emit(sent).Also(func(ctx context.Context) error {
			return insert(ctx, bus.Tx(ctx), sent)
		}), nil
	}).Emits(welcomeevents.Sent{}).External(parallel).Retry(patient)
}

const insertMessage = `INSERT INTO welcome_messages (id, reference) VALUES (?, ?)`

// insert writes down a sent message.
func insert(ctx context.Context, tx bus.SQL, e welcomeevents.Sent) error {
	if _, err := tx.ExecContext(ctx, insertMessage, e.ID, e.Reference); err != nil {
		return fmt.Errorf("insert message %s: %w", e.ID, err)
	}
	return nil
}

// Sent returns the references of all sent messages, by the ids of the requests.
func Sent(ctx context.Context, tx bus.SQL) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, reference FROM welcome_messages`)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	sent := map[string]string{}
	for rows.Next() {
		var id, reference string
		if err := rows.Scan(&id, &reference); err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		sent[id] = reference
	}
	return sent, rows.Err()
}
