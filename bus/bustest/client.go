package bustest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// Client is one of several concurrent clients: see App.Together.
type Client[S any] struct {
	app    *App[S]
	number int // from 1
}

// Together runs several clients at the same time, and returns when all clients have returned. Explore decides the order
// of all units of work and views of the clients. In Run, the clients come one after the other. Stories number the
// clients from 1.
func (a *App[S]) Together(clients ...func(c *Client[S])) {
	a.t.Helper()
	if a.sched == nil {
		for i, act := range clients {
			act(&Client[S]{a, i + 1})
		}
		return
	}
	var all sync.WaitGroup
	for i, act := range clients {
		all.Go(func() { act(&Client[S]{a, i + 1}) })
	}
	all.Wait()
}

// Act is App.Act for this client.
func (c *Client[S]) Act(name string, fn func(ctx context.Context, s S) error) error {
	name = fmt.Sprintf("client %d: %s", c.number, name)
	return c.app.act(name, func(ctx context.Context) error {
		return fn(context.WithValue(ctx, clientKey{}, c.number), c.app.S())
	})
}

// Must calls Act, and fails the test with fn's error.
func (c *Client[S]) Must(name string, fn func(ctx context.Context, s S) error) {
	c.app.t.Helper()
	if err := c.Act(name, fn); err != nil {
		c.app.t.Fatalf("client %d: %s: %v", c.number, name, err)
	}
}

type clientKey struct{}

type requestKey struct{}

// request is an act of a client, and the act's idempotency key.
type request struct{ act, key string }

// request returns a context for an act.
func (c *core) request(act string) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acts[act]++
	return context.WithValue(c.ctx, requestKey{}, request{act, fmt.Sprintf("%s, number %d", act, c.acts[act])})
}

// act calls fn until a living process answers, the store accepts the work, and the answer arrives.
func (c *core) act(name string, fn func(ctx context.Context) error) error {
	ctx := c.request(name)
	for {
		lives := c.lives()
		err := fn(ctx)
		dead := slices.IndexFunc(lives, (*life).isDead)
		stopped := errors.Is(err, journal.ErrClosed) || errors.Is(err, bus.ErrNotRunning)
		if dead < 0 && stopped { // clients ask again
			dead = slices.IndexFunc(lives, (*life).stopping)
		}
		switch {
		case errors.Is(err, errRefused), errors.Is(err, errLost): // clients ask again
			continue
		case err == nil || dead < 0:
			return err
		}
		<-lives[dead].over
	}
}

// Key returns an idempotency key for bus.Unit: the same when the client of an Act asks again, and another key in every
// other Act. ctx must be the Act's. Units of one Act in one module need keys of their own, such as Key(ctx)+"/2".
func Key(ctx context.Context) string {
	r, ok := ctx.Value(requestKey{}).(request)
	if !ok {
		panic("bustest: Key outside of an Act")
	}
	return r.key
}

// asks notes the act and the client of s.
func (s *step) asks(ctx context.Context) {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		s.name = r.act
	}
	if n, ok := ctx.Value(clientKey{}).(int); ok && n > 1 {
		s.client = n
	}
}

// View implements journal.Journal. With several clients, each view is a step, so that other steps may come first.
func (l *life) View(ctx context.Context, run func(*sql.Tx) error) error {
	if ctx.Value(clientKey{}) == nil || l.core.sched == nil {
		return l.Store.View(ctx, run)
	}
	st := newStep(stepView, "view")
	defer close(st.done)
	st.asks(ctx)
	if _, err := l.pass(st); err != nil {
		return err
	}
	return l.Store.View(ctx, run)
}
