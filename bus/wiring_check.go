package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
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
	if err := checkMigrations(m.migrations); err != nil {
		errs = append(errs, at(m.wiredAt, fmt.Errorf("migrations of module %s: %w", m.name, err)))
	}
	return errs
}

// checkMigrations returns an error when fsys has no migration, or a migration in the wrong folder.
func checkMigrations(fsys fs.FS) error {
	byDepth := map[int][]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".sql" {
			depth := strings.Count(name, "/")
			byDepth[depth] = append(byDepth[depth], name)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case len(byDepth) == 0:
		return errors.New("no .sql file at the top of the file system, or one folder below")
	}
	taken := 0 // the depth of the folder that is applied: the top, if the top has a file
	if len(byDepth[0]) == 0 {
		taken = 1
	}
	for _, depth := range slices.Sorted(maps.Keys(byDepth)) {
		if depth != taken {
			return fmt.Errorf("%s would not be applied: put all .sql files at the top of the file system, or all one folder below",
				byDepth[depth][0])
		}
	}
	return nil
}
