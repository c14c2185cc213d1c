package kafka

import (
	"sync"
	"time"
)

// common is the client that all subscriptions share for everything but fetching: leaders, offsets, settings. With
// clients of their own, fifty topics would have two connections each to every broker. A caller whose call hangs cuts
// the client, and the next caller gets a new client. Calls that fail because of the cut are retried, as after any
// network error.
type common struct {
	mu     sync.Mutex
	client *client
	since  time.Duration // patience when the client was made
	old    []*client     // replaced clients, on which calls may still wait
}

// common returns the shared client. It makes a new client when the old one was cut or the patience has changed.
func (t *Transport) common() *client {
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	patience := t.patience()
	if t.shared.client != nil && !t.shared.client.isCut() && t.shared.since == patience {
		return t.shared.client
	}
	c, err := t.connect()
	if err != nil { // impossible, as New has validated the configuration
		panic(err)
	}
	if t.shared.client != nil {
		t.shared.old = append(t.shared.old, t.shared.client)
	}
	if n := len(t.shared.old); n > 0 && t.shared.old[0].isCut() || n > maxOld {
		t.wg.Go(t.shared.old[0].close) // the caller is counted in wg, so Close still waits
		t.shared.old = t.shared.old[1:]
	}
	t.shared.client, t.shared.since = c, patience
	return c
}

// maxOld is how many replaced clients stay open for calls that still wait: the patience changes a few times a minute.
const maxOld = 2

// cutCommon makes every call on a shared client return.
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

// closeCommon closes all shared clients after the last call.
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
