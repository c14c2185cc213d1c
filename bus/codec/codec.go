// Package codec is the seam for payloads in other formats than JSON. A type of events chooses a format with a method:
//
//	func (Placed) EventCodec() codec.Codec { return placedCodec }
//
// The bus asks the codec of the zero value instead of encoding/json. The journal keeps the content type beside each
// event, and the message on the wire has the content type. Events that the journal has as JSON, from before the type
// had a codec, are still decoded as JSON.
//
// An error or a panic of a codec counts as the failure of the handler: an event that cannot be decoded becomes a dead
// letter with its bytes.
//
// This package has no format of its own, and imports only the standard library: contracts of modules may import it.
//
// Package codec is a seam: a minor version may change the package, and the changelog says how.
package codec

import (
	"errors"
	"fmt"
	"mime"
	"reflect"
)

// Codec converts the events of a type to payloads, and payloads to events. A Codec is safe for concurrent use. Most
// programs make a Codec with New.
type Codec interface {
	// ContentType returns the media type of the payloads, such as "application/protobuf".
	ContentType() string
	// Schema returns the schema of the payloads in the language of the format, for contracts; "" without a schema.
	Schema() string
	// Marshal returns the payload of e, a value of the event's type or a pointer to a value. Equal events have equal
	// payloads: a reaction that runs again must emit the same bytes. The caller owns the result.
	Marshal(e any) ([]byte, error)
	// Unmarshal decodes data into the event that into points to. Unmarshal may keep data.
	Unmarshal(data []byte, into any) error
}

// New returns a Codec for events of type E. contentType is the media type of the payloads. schema is the text of the
// schema, for bustest.Contract, or "". The functions follow the rules of the methods of Codec.
func New[E any](
	contentType, schema string, marshal func(e E) ([]byte, error), unmarshal func(data []byte, into *E) error,
) Codec {
	return typed[E]{contentType, schema, marshal, unmarshal}
}

// typed is a Codec of functions.
type typed[E any] struct {
	contentType, schema string
	marshal             func(E) ([]byte, error)
	unmarshal           func([]byte, *E) error
}

// ContentType implements Codec.
func (c typed[E]) ContentType() string { return c.contentType }

// Schema implements Codec.
func (c typed[E]) Schema() string { return c.schema }

// Marshal implements Codec.
func (c typed[E]) Marshal(e any) ([]byte, error) {
	switch e := e.(type) {
	case E:
		return c.marshal(e)
	case *E:
		return c.marshal(*e)
	default:
		return nil, fmt.Errorf("the codec of %v got a %T", reflect.TypeFor[E](), e)
	}
}

// Unmarshal implements Codec.
func (c typed[E]) Unmarshal(data []byte, into any) error {
	e, ok := into.(*E)
	if !ok {
		return fmt.Errorf("the codec of %v got a %T", reflect.TypeFor[E](), into)
	}
	return c.unmarshal(data, e)
}

// has is a type of events with a codec.
type has interface{ EventCodec() Codec }

// Of returns the codec of e, an event or a pointer to an event, or nil for JSON.
func Of(e any) Codec {
	if e, ok := e.(has); ok {
		return e.EventCodec()
	}
	return nil
}

// Check returns the mistake in the codec of t, the struct type of an event.
func Check(t reflect.Type) error {
	face := reflect.TypeFor[has]()
	if !t.Implements(face) {
		if reflect.PointerTo(t).Implements(face) {
			return fmt.Errorf("EventCodec of %v has a pointer receiver: declare the method on the value", t)
		}
		return nil
	}
	c := Of(reflect.Zero(t).Interface())
	if c == nil {
		return fmt.Errorf("EventCodec of %v returns nil: return a codec, or remove the method for JSON", t)
	}
	if _, _, err := mime.ParseMediaType(c.ContentType()); err != nil {
		return fmt.Errorf("the codec of %v has the content type %q: want a media type, such as application/protobuf: %w", t, c.ContentType(), err)
	}
	return nil
}

// Reads returns an error when the codec cannot read payloads of contentType. Bytes without a format of their own
// (application/octet-stream) are for the codec to judge.
func Reads(c Codec, contentType string) error {
	is, _, err := mime.ParseMediaType(contentType)
	want, _, wantErr := mime.ParseMediaType(c.ContentType())
	if errors.Join(err, wantErr) != nil || is != want && is != "application/octet-stream" {
		return fmt.Errorf("content type %.60q: the type's codec reads %s", contentType, c.ContentType())
	}
	return nil
}
