package main

import (
	"context"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// owner is the program that a journal belongs to.
type owner struct {
	name     string           // "" where the journal does not know it
	foreign  bool             // it is another program than this one
	declares *journal.Program // nil where the journal does not know it
}

// ownerOf returns the owner of the journal of r.
func ownerOf(ctx context.Context, r *sqlite.Reader) (owner, error) {
	p, err := r.Program(ctx)
	if err != nil {
		return owner{}, err
	}
	other, err := r.OtherProgram(ctx, shopProgram())
	o := owner{foreign: other != nil, declares: p}
	if p != nil {
		o.name = p.Name
	}
	return o, err
}

// ownerAt is ownerOf for the journal at path. A journal that cannot be read counts as this program's: the caller says more about it.
func ownerAt(ctx context.Context, path string) (o owner) {
	_ = readJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		o, err = ownerOf(ctx, r)
		return err
	})
	return o
}

// runs is the name by which people run the program.
func (o owner) runs() string {
	switch {
	case !o.foreign:
		return programName
	case o.name == "":
		return "its own program"
	}
	return o.name
}
