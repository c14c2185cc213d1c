package encrypt

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
)

// Ring is Keys in memory, for tests and for programs that load their keys at the start. The zero value has no keys.
type Ring struct {
	mu   sync.RWMutex
	keys map[string][]byte // nil for an erased key
}

// Key implements Keys.
func (r *Ring) Key(id string) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	key, known := r.keys[id]
	switch {
	case !known:
		return nil, fmt.Errorf("the ring has no key %q: add the key", id)
	case key == nil:
		return nil, ErrErased
	default:
		return slices.Clone(key), nil
	}
}

// Add adds a key. An erased key stays erased. Add returns an error for a key of another size than KeySize, and for
// another key under a known id.
func (r *Ring) Add(id string, key []byte) error {
	if id == "" || len(key) != KeySize {
		return fmt.Errorf("encrypt: key %q of %d bytes: want an id, and %d bytes", id, len(key), KeySize)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.keys[id]; ok && !slices.Equal(known, key) {
		return fmt.Errorf("encrypt: key %q is another already, or was erased", id)
	}
	if r.keys == nil {
		r.keys = map[string][]byte{}
	}
	r.keys[id] = slices.Clone(key)
	return nil
}

// Erase erases a key, also a key that the ring does not have. Erase cannot be undone.
func (r *Ring) Erase(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = map[string][]byte{}
	}
	clear(r.keys[id])
	r.keys[id] = nil
}

// NewKey returns a random key.
func NewKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	return key
}
