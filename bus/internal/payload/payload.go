// Package payload converts events to their payloads and back: by JSON or by the codec of the type, and encrypted where
// the type says so.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"unicode/utf8"

	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/jsontype"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// encrypted is a type of events with encrypted payloads.
type encrypted interface{ EventEncryptionKey() string }

// readable is an encrypted type with fields that stay readable.
type readable interface{ EventReadable() any }

// Check returns the mistake in t, the struct type of an event, for a program that has keys or not.
func Check(t reflect.Type, keys bool) error {
	face := reflect.TypeFor[encrypted]()
	switch {
	case !t.Implements(face) && reflect.PointerTo(t).Implements(face):
		return fmt.Errorf("EventEncryptionKey of %v has a pointer receiver: declare the method on the value", t)
	case t.Implements(face) && !keys:
		return fmt.Errorf("%v has encrypted payloads: set Config.Keys", t)
	}
	if err := codec.Check(t); err != nil || t.Implements(reflect.TypeFor[interface{ EventCodec() codec.Codec }]()) {
		return err
	}
	return jsontype.Check(t)
}

// About describes the payloads of t, the struct type of an event.
func About(t reflect.Type) (contentType, schema string, sealed bool) {
	v := reflect.New(t).Interface()
	if c := codec.Of(v); c != nil {
		contentType, schema = c.ContentType(), c.Schema()
	}
	_, sealed = v.(encrypted)
	return contentType, schema, sealed
}

// Marshal sets the payload of s, which has a type and a version, to the payload of e.
func Marshal(e any, keys encrypt.Keys, s *journal.Event) (err error) {
	contentType, keyID := "", ""
	if s.Data, contentType, err = marshal(e); err != nil {
		return err
	}
	if x, ok := e.(encrypted); ok {
		keyID = x.EventEncryptionKey()
		if s.Data, err = seal(e, keys, keyID, contentType, s); err != nil {
			return err
		}
		contentType = encrypt.ContentType
	}
	if contentType == "" {
		return nil
	}
	m := maps.Clone(s.Metadata) // the events of a flow share their metadata
	if m == nil {
		m = map[string]string{}
	}
	m[journal.MetaContentType] = contentType
	if keyID != "" {
		m[journal.MetaKeyID] = keyID
	}
	s.Metadata = m
	return nil
}

// marshal returns the payload of e without encryption. The content type of JSON is "".
func marshal(e any) (data []byte, contentType string, err error) {
	if c := codec.Of(e); c != nil {
		if data, err = c.Marshal(e); err != nil {
			return nil, "", err
		}
		if contentType = c.ContentType(); contentType == "application/json" {
			contentType = ""
		}
	} else if data, err = json.Marshal(e); err != nil {
		return nil, "", err
	}
	if journal.IsJSON(contentType) && wire.IsNull(data) {
		return nil, "", errors.New("the JSON is null, which does not differ from an event of zero values: encode an object")
	}
	return data, contentType, nil
}

// seal returns the payload of s encrypted.
func seal(e any, keys encrypt.Keys, keyID, contentType string, s *journal.Event) ([]byte, error) {
	if len(keyID) > wire.MaxAttribute {
		return nil, fmt.Errorf("the id of the encryption key has %d bytes: want at most %d", len(keyID), wire.MaxAttribute)
	}
	if err := wire.CheckName(keyID); err != nil {
		return nil, fmt.Errorf("the id %.60q of the encryption key %w", keyID, err)
	}
	p := encrypt.Plain{EventType: s.Type, Version: s.Version, KeyID: keyID, ContentType: contentType, Data: s.Data}
	if x, ok := e.(readable); ok {
		var err error
		if p.Readable, err = json.Marshal(x.EventReadable()); err != nil {
			return nil, fmt.Errorf("EventReadable: %w", err)
		}
	}
	return encrypt.Seal(keys, p)
}

// Unmarshal decodes the payload of e into the event that into points to.
func Unmarshal(e *journal.Event, keys encrypt.Keys, into any) error {
	contentType, data, err := Open(e, keys)
	if err != nil {
		return fmt.Errorf("decode %s: %w", e.Type, err)
	}
	c := codec.Of(into)
	if c != nil && (!journal.IsJSON(contentType) || journal.IsJSON(c.ContentType())) {
		err = decode(c, contentType, data, into)
	} else {
		err = decodeJSON(contentType, data, into)
	}
	if err != nil {
		return fmt.Errorf("decode %s: %w", e.Type, err)
	}
	return nil
}

// Open returns the payload of e without encryption.
func Open(e *journal.Event, keys encrypt.Keys) (contentType string, data []byte, err error) {
	contentType = e.Metadata[journal.MetaContentType]
	if contentType != encrypt.ContentType {
		return contentType, e.Data, nil
	}
	p, err := encrypt.Open(keys, e.Type, e.Version, e.Data)
	return p.ContentType, p.Data, err
}

// decode decodes data with the codec of the type.
func decode(c codec.Codec, contentType string, data []byte, into any) error {
	if journal.IsJSON(contentType) {
		if err := checkJSON(contentType, data); err != nil {
			return err
		}
	} else if err := codec.Reads(c, contentType); err != nil {
		return err
	}
	return c.Unmarshal(bytes.Clone(data), into) // the journal keeps data
}

func decodeJSON(contentType string, data []byte, into any) error {
	if err := checkJSON(contentType, data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// checkJSON refuses a payload that encoding/json would silently change. The ingest has checked payloads that came as
// JSON from other programs.
func checkJSON(contentType string, data []byte) error {
	switch {
	case !utf8.Valid(data): // encoding/json would replace the bytes
		return errors.New("the payload is not valid UTF-8")
	case wire.IsNull(data): // encoding/json would return the zero value
		return errors.New("the payload is null")
	case contentType == "":
		return nil
	}
	if err := wire.CheckPayload(data); err != nil {
		return fmt.Errorf("the payload, with content type %.60q: %w", contentType, err)
	}
	return nil
}
