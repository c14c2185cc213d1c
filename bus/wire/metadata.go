package wire

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// MaxMetadata limits the names and values of the metadata of a flow, in bytes.
const MaxMetadata = 4 << 10

// The errors of package bus for names and sizes.
var (
	ErrBadID    = errors.New("bus: bad id")
	ErrTooLarge = errors.New("bus: event too large")
)

// ownExtensions are the names that belong to one event, and not to a flow.
var ownExtensions = map[string]bool{
	"ce_datacontenttype": true, "ce_dataschema": true, "ce_data": true, "ce_dataref": true, metaPartitionKey: true,
	"ce_sequence": true, "ce_sequencetype": true, "ce_sampledrate": true, "ce_expirytime": true, "ce_recordedtime": true,
	journal.MetaKeyID: true,
}

// Extension returns the name in journal.Event.Metadata, and on the wire, of metadata of a flow.
func Extension(name string) string { return "ce_" + name }

// WithMetadata returns a copy of m, metadata of a flow, in which name has value. The value "" removes the name.
func WithMetadata(m map[string]string, name, value string) (map[string]string, error) {
	at := Extension(name)
	switch {
	case !validExtension(name):
		return nil, fmt.Errorf("%w: metadata %.60q: want a name of 1 to 20 lower case letters and digits", ErrBadID, name)
	case attributes[at] || ownExtensions[at]:
		return nil, fmt.Errorf("%w: metadata %q: the name is an attribute of every event: choose another name", ErrBadID, name)
	}
	if err := CheckName(value); err != nil {
		return nil, fmt.Errorf("%w: the value of metadata %q %w", ErrBadID, name, err)
	}
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	if out[at] = value; value == "" {
		delete(out, at)
	}
	if n := sizeOfMetadata(out); n > MaxMetadata {
		return nil, fmt.Errorf("%w: the metadata have %d bytes with %q, the limit is %d: put a reference into the metadata",
			ErrTooLarge, n, name, MaxMetadata)
	}
	return out, nil
}

// Inherited returns the metadata in m that a reaction passes on to the events that the reaction emits. The result may
// be m itself. Metadata of another program that exceed MaxMetadata are not passed on.
func Inherited(m map[string]string) map[string]string {
	n := 0
	for name := range m {
		if inherited(name) {
			n++
		}
	}
	if n == 0 || sizeOfMetadata(m) > MaxMetadata {
		return nil
	}
	if n == len(m) {
		return m
	}
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(name, _ string) bool { return !inherited(name) })
	return out
}

func inherited(name string) bool {
	of, ok := strings.CutPrefix(name, "ce_")
	return ok && !ownExtensions[name] && validExtension(of)
}

// validExtension checks a name by the rules of CloudEvents 1.0, section "Naming Conventions".
func validExtension(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 20
}

func sizeOfMetadata(m map[string]string) (n int) {
	for name, value := range m {
		n += len(name) + len(value)
	}
	return n
}
