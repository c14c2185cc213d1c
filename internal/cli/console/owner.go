package console

import (
	"context"
	"fmt"

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

// plain is the name of the program that may change the journals of all programs.
const plain = "troupe"

// MayChange returns an error if the command of this program must not change the journals at paths, because one belongs
// to another program. An unreadable journal passes, because the command reports the error.
func (o *Options) MayChange(ctx context.Context, command string, paths ...string) error {
	if o.Program.Name == plain {
		return nil
	}
	for _, path := range paths {
		owner := o.OwnerAt(ctx, path)
		if !owner.Foreign {
			continue
		}
		of, use := owner.Name, "or of the plain "+plain
		switch of {
		case "":
			of = "another program"
		case plain:
			use = "which works on every journal"
		}
		return fmt.Errorf("%s is a journal of %s, and this is %s: use '%s' of %s, %s", Here(path), of, o.Program.Name, command, owner.Runs(), use)
	}
	return nil
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
