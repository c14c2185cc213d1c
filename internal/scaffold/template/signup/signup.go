// Package signup accepts requests, and notes the answers of other modules.
package signup

import (
	"context"
	"embed"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/scaffold/template/signup/signupevents"
	//new:each welcome
	"github.com/troupebus/troupe/internal/scaffold/template/welcome/welcomeevents"
	//new:end
)

//go:embed schema/*.sql
var schema embed.FS

// Desk is the entrance of the module, for routes and commands.
type Desk struct{ m *bus.Module }

// Wire puts the module on b.
func Wire(b *bus.Bus) Desk {
	m := b.Module("signup").Migrations(schema).Emits(signupevents.Accepted{})
	//new:alone m.ForOutside(signupevents.Accepted{}) // no module of this program reacts yet
	//new:each welcome

	bus.On(m, "note-welcome", func(ctx context.Context, e welcomeevents.Sent) (bus.Events, error) {
		return nil, note(ctx, bus.Tx(ctx), e.ID, "welcome", e.Reference)
	})
	//new:end

	return Desk{m}
}

// Accept accepts a request: the row and the event are one commit, on disk when Accept returns without an error.
// Accept reports false for a repeated request. Another request with the same id is an ErrTaken.
func (d Desk) Accept(ctx context.Context, q Request) (fresh bool, err error) {
	if err := q.check(); err != nil {
		return false, err
	}
	ctx = bus.Correlate(ctx, q.ID) // the name of the flow
	fresh, _, err = bus.Do(ctx, d.m, bus.Unit{}, func(ctx context.Context) (bool, bus.Events, error) {
		fresh, err := insert(ctx, bus.Tx(ctx), q)
		if err != nil || !fresh {
			return false, nil, err
		}
		return true, bus.Emit(signupevents.Accepted{ID: q.ID, Address: q.Address}), nil
	})
	return fresh, err
}

// Get returns a request with the answers so far, or ErrNotFound.
func (d Desk) Get(ctx context.Context, id string) (entry Entry, err error) {
	err = d.m.View(ctx, func(tx bus.SQL) error {
		entry, err = get(ctx, tx, id)
		return err
	})
	return entry, err
}
