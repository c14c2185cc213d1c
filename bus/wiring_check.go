package bus

import (
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus/internal/migrations"
)

// nameOf returns the declared name of the Go type of e, or "" for an undeclared type.
func (b *Bus) nameOf(e Event) string {
	t := goType(e)
	for name, known := range b.types {
		if known.goType == t {
			return name
		}
	}
	return ""
}

// joined returns the errors that err joins, or err alone.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// check returns the mistakes of a module: ForOutside without Emits, and migrations in the wrong folder.
func (m *Module) check() (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(m.outside)) {
		if emitter := m.bus.types[name].emitter; emitter != m.name {
			errs = append(errs, at(m.wiredAt, fmt.Errorf("module %s marks %q with ForOutside, but does not emit the event: add the event to Emits",
				m.name, name)))
		}
	}
	if m.migrations == nil {
		return errs
	}
	if err := migrations.Check(m.migrations); err != nil {
		errs = append(errs, at(m.wiredAt, fmt.Errorf("migrations of module %s: %w", m.name, err)))
	}
	return errs
}
