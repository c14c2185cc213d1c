package console

import (
	"context"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Owner is the program that a journal belongs to.
type Owner struct {
	Name     string           // "" if the journal does not know the name
	this     string           // the name of this program
	Foreign  bool             // the owner is not this program
	Declares *journal.Program // nil if the journal does not know the declarations
}

// OwnerOf returns the owner of the journal of r.
func (o *Options) OwnerOf(ctx context.Context, r *sqlite.Reader) (Owner, error) {
	p, err := r.Program(ctx)
	if err != nil {
		return Owner{}, err
	}
	other, err := r.OtherProgram(ctx, o.Program.Declares())
	found := Owner{this: o.Program.Name, Foreign: other != nil, Declares: p}
	if p != nil {
		found.Name = p.Name
	}
	return found, err
}

// OwnerAt returns the owner of the journal at path. An unreadable journal counts as this program's, because the caller
// reports the error.
func (o *Options) OwnerAt(ctx context.Context, path string) (found Owner) {
	found.this = o.Program.Name
	_ = ReadJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		found, err = o.OwnerOf(ctx, r)
		return err
	})
	return found
}

// Runs returns the name of the program that runs on the journal.
func (o Owner) Runs() string {
	switch {
	case !o.Foreign:
		return o.this
	case o.Name == "":
		return "its own program"
	}
	return o.Name
}
