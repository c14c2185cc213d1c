package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// owner is the program that a journal belongs to.
type owner struct {
	name     string           // "" if the journal does not know the name
	this     string           // the name of this program
	foreign  bool             // the owner is not this program
	declares *journal.Program // nil if the journal does not know the declarations
}

// ownerOf returns the owner of the journal of r.
func (o *options) ownerOf(ctx context.Context, r *sqlite.Reader) (owner, error) {
	p, err := r.Program(ctx)
	if err != nil {
		return owner{}, err
	}
	other, err := r.OtherProgram(ctx, o.program.declares())
	found := owner{this: o.program.Name, foreign: other != nil, declares: p}
	if p != nil {
		found.name = p.Name
	}
	return found, err
}

// ownerAt returns the owner of the journal at path. An unreadable journal counts as this program's, because the caller
// reports the error.
func (o *options) ownerAt(ctx context.Context, path string) (found owner) {
	found.this = o.program.Name
	_ = readJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		found, err = o.ownerOf(ctx, r)
		return err
	})
	return found
}

// refuseForeign returns the error of sqlite.Open for the journal of another program. A command calls refuseForeign
// before sqlite.Open, which leaves a lock file beside the journal. Open reports a journal that cannot be read.
func (o *options) refuseForeign(ctx context.Context, path string) error {
	var other *sqlite.OtherProgramError
	err := readJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		other, err = r.OtherProgram(ctx, o.program.declares())
		if err == nil && other != nil && other.Owner == "" {
			var observed bool // Subscribe refuses the journal of an observer, and says more
			if observed, err = observes(ctx, r); observed {
				other = nil
			}
		}
		return err
	})
	if err != nil || other == nil {
		return nil
	}
	if named, err := filepath.Abs(path); err == nil {
		path = named
	}
	return fmt.Errorf("open %s: %w", path, other)
}

// runs returns the name of the program that runs on the journal.
func (o owner) runs() string {
	switch {
	case !o.foreign:
		return o.this
	case o.name == "":
		return "its own program"
	}
	return o.name
}
