// Package encrypt encrypts the payloads of events, with a key for each customer or tenant. A type of events asks for
// encryption with a method:
//
//	func (r Registered) EventEncryptionKey() string { return r.CustomerID }
//
// The bus gets the keys from bus.Config.Keys. Erasing a key makes the payloads of the key unreadable everywhere: in the
// journal, its copies, and the topics.
//
// # Format
//
// An encrypted payload is a JSON object with the id of the key, the content type of the plain payload, the readable
// fields and the ciphertext. The cipher is AES-256-GCM. The type and version of the event, the id of the key, the
// content type and the readable fields are authenticated: a ciphertext fits no other type, version or key.
//
// A reaction that runs again must emit the same bytes, so the nonce is not random. The nonce is the beginning of the
// HMAC-SHA256 of the plain payload and the authenticated data, under a key of its own, as in SIV (RFC 5297). Equal
// payloads of one type and key therefore have equal ciphertexts, and a reader without the key sees the equality.
// Encryption keys and nonce keys are derived from the key with HKDF-SHA256. Use a key for at most 2^32 events.
//
// Encryption hides the payload. It does not prove who sent the event: events without encryption are accepted, too, such
// as events from before the type was encrypted.
//
// This package imports the standard library only.
//
// Package encrypt is a seam: a minor version may change the package, and the changelog says how.
package encrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ContentType is the content type of encrypted payloads.
const ContentType = "application/vnd.troupe.encrypted+json"

// KeySize is the size of a key, in bytes.
const KeySize = 32

var (
	// ErrErased: the key was erased, and with it all payloads of the key.
	ErrErased = errors.New("encrypt: the key was erased")
	// ErrNoKey: Keys has no answer now. The bus tries again, as after every other error of a handler.
	ErrNoKey = errors.New("encrypt: no key")
	// ErrCorrupt: the ciphertext does not fit the key, or the event. The bytes were changed or belong to another event,
	// or the key is another with the same id.
	ErrCorrupt = errors.New("encrypt: the payload cannot be decrypted: the bytes were changed, or the key is another")
)

// erased is the ErrErased of the key called so.
type erased string

// Error names the key.
func (e erased) Error() string { return fmt.Sprintf("encrypt: the key %q was erased", string(e)) }

// Is makes errors.Is find ErrErased.
func (e erased) Is(target error) bool { return target == ErrErased }

// Keys returns keys by their ids. Key is called for every encrypted event, also while the journal reads ahead: answer
// from memory. Keys is safe for concurrent use.
type Keys interface {
	// Key returns the key of KeySize random bytes called id. Key returns an ErrErased for an erased key: that answer is
	// final. The bus tries again after every other error.
	Key(id string) ([]byte, error)
}

// Plain is a payload without encryption, and the parts of its event that the ciphertext is bound to.
type Plain struct {
	EventType   string
	Version     int
	KeyID       string
	ContentType string          // of Data; "" for application/json
	Data        []byte          // the payload
	Readable    json.RawMessage // fields that stay readable, as JSON; nil for none
}

// envelope is an encrypted payload.
type envelope struct {
	KeyID       string          `json:"key"`
	ContentType string          `json:"content_type,omitempty"`
	Readable    json.RawMessage `json:"readable,omitempty"`
	Sealed      []byte          `json:"sealed"` // the nonce and the ciphertext
}

// Seal returns p encrypted, with the same bytes at every call.
func Seal(keys Keys, p Plain) ([]byte, error) {
	if p.KeyID == "" {
		return nil, errors.New("encrypt: the id of the key is empty: every encrypted event needs a key")
	}
	e := envelope{KeyID: p.KeyID, ContentType: p.ContentType}
	c, err := open(keys, p.KeyID)
	if err != nil {
		return nil, err
	}
	if e.Readable, err = compacted(p.Readable); err != nil {
		return nil, err
	}
	bound := c.bound(p.EventType, p.Version, &e)
	nonce := c.nonce(bound, p.Data)
	e.Sealed = c.aead.Seal(nonce, nonce, p.Data, bound)
	var out bytes.Buffer
	j := json.NewEncoder(&out)
	j.SetEscapeHTML(false) // the readable fields are bound as they are
	if err := j.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Open decrypts sealed, the payload of an event with this type and version.
func Open(keys Keys, eventType string, version int, sealed []byte) (Plain, error) {
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil || e.KeyID == "" {
		return Plain{}, errors.Join(errors.New("encrypt: the payload is no encrypted payload"), err)
	}
	c, err := open(keys, e.KeyID)
	if err != nil {
		return Plain{}, err
	}
	if e.Readable, err = compacted(e.Readable); err != nil {
		return Plain{}, err
	}
	size := c.aead.NonceSize()
	if len(e.Sealed) < size {
		return Plain{}, fmt.Errorf("key %q: %w", e.KeyID, ErrCorrupt)
	}
	data, err := c.aead.Open(nil, e.Sealed[:size], e.Sealed[size:], c.bound(eventType, version, &e))
	if err != nil {
		return Plain{}, fmt.Errorf("key %q: %w", e.KeyID, ErrCorrupt)
	}
	return Plain{
		EventType: eventType, Version: version, KeyID: e.KeyID, ContentType: e.ContentType, Data: data, Readable: e.Readable,
	}, nil
}

// compacted returns readable fields without white space, as the ciphertext is bound to the fields.
func compacted(readable json.RawMessage) (json.RawMessage, error) {
	if readable == nil {
		return nil, nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, readable); err != nil {
		return nil, fmt.Errorf("readable fields: %w", err)
	}
	return out.Bytes(), nil
}

// crypter encrypts with one key.
type crypter struct {
	aead     cipher.AEAD
	nonceKey []byte
}

// open returns the crypter of the key called id.
func open(keys Keys, id string) (*crypter, error) {
	if keys == nil {
		return nil, fmt.Errorf("%w: the payload is encrypted with key %q, and the program has no keys: set Config.Keys", ErrNoKey, id)
	}
	key, err := keys.Key(id)
	switch {
	case errors.Is(err, ErrErased):
		return nil, erased(id)
	case err != nil:
		return nil, fmt.Errorf("%w %q: %w", ErrNoKey, id, err)
	case len(key) != KeySize:
		return nil, fmt.Errorf("%w %q: it has %d bytes: want %d", ErrNoKey, id, len(key), KeySize)
	}
	encryption, err := derive(key, "payload")
	if err != nil {
		return nil, err
	}
	nonceKey, err := derive(key, "nonce")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &crypter{aead, nonceKey}, err
}

// derive returns a key for one purpose.
func derive(key []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "troupe "+purpose, KeySize)
}

// bound returns the authenticated data: each part after its length.
func (c *crypter) bound(eventType string, version int, e *envelope) []byte {
	out := []byte("troupe encrypted payload 1")
	out = binary.BigEndian.AppendUint64(out, uint64(version))
	for _, part := range []string{eventType, e.KeyID, e.ContentType, string(e.Readable)} {
		out = append(binary.BigEndian.AppendUint64(out, uint64(len(part))), part...)
	}
	return out
}

// nonce returns the nonce of a payload.
func (c *crypter) nonce(bound, data []byte) []byte {
	mac := hmac.New(sha256.New, c.nonceKey)
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(bound)))) // a hash takes everything
	_, _ = mac.Write(bound)
	_, _ = mac.Write(data)
	return mac.Sum(nil)[:c.aead.NonceSize():c.aead.NonceSize()]
}
