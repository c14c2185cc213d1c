package kafka

import (
	"sync"
	"time"
)

// common is the client that all subscriptions share, for everything but fetching: who leads what, places, settings. Fifty topics would
// otherwise have two connections each, to every broker. Whoever has to get away from a call that hangs cuts it, and the next who asks
// gets a new one: the others try again what failed meanwhile, as they do whatever a network does.
type common struct {
	mu     sync.Mutex
	client *client
	since  time.Duration // the patience that it was made with
	old    []*client     // somebody may still wait for an answer on them
}

// common returns the client that all subscriptions share.
func (t *Transport) common() *client {
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	patience := t.patience()
	if t.shared.client != nil && !t.shared.client.isCut() && t.shared.since == patience {
		return t.shared.client
	}
	c, err := t.connect()
	if err != nil { // New has seen to it that this does not happen
		panic(err)
	}
	if t.shared.client != nil {
		t.shared.old = append(t.shared.old, t.shared.client)
	}
	if n := len(t.shared.old); n > 0 && t.shared.old[0].isCut() || n > keptOld {
		t.wg.Go(t.shared.old[0].close) // who asks is in, and waited for
		t.shared.old = t.shared.old[1:]
	}
	t.shared.client, t.shared.since = c, patience
	return c
}

// keptOld is how many clients are left alone for those who may still wait on them: patience grows and shrinks a few times in a minute.
const keptOld = 2

// cutCommon has every call return that hangs on what common made.
func (t *Transport) cutCommon() {
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	for _, c := range t.shared.old {
		c.cut()
	}
	if t.shared.client != nil {
		t.shared.client.cut()
	}
}

// closeCommon closes what common made. Nobody uses it any more.
func (t *Transport) closeCommon() {
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	if t.shared.client != nil {
		t.shared.old = append(t.shared.old, t.shared.client)
	}
	for _, c := range t.shared.old {
		c.close()
	}
	t.shared.client, t.shared.old = nil, nil
}
