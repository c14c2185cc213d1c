package moves

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// hinted adds to the error of a move with options the flag or the command line that helps.
func hinted(o *console.Options, options *move.Options, err error) error {
	switch {
	case errors.Is(err, move.ErrSpace) && !options.NoBackup:
		return fmt.Errorf("%w; --no-backup makes no copy", err)
	case errors.Is(err, move.ErrTies):
		return advise(err, o.Invocation(options.Journal, "split", "--check", "--modules", strings.Join(options.Modules, ",")), "lists them")
	}
	return err
}

// mayMove returns an error if the move with options changes a journal that belongs to another program.
func mayMove(ctx context.Context, o *console.Options, act string, options *move.Options) error {
	if options.DryRun {
		return nil
	}
	return o.MayChange(ctx, act, options.Journal, options.Other)
}

// undoMove undoes the last move of a journal, which must be act, and prints its proof.
func undoMove(ctx context.Context, o *console.Options, act string, options *move.Options) error {
	if err := mayMove(ctx, o, act, options); err != nil {
		return err
	}
	p, err := move.Undo(ctx, act, *options)
	if p == nil || !errors.Is(err, move.ErrNothing) && !errors.Is(err, move.ErrChanged) {
		return printMove(ctx, o, options)(p, err)
	}
	line := o.Invocation(p.Journal, p.Act, "--undo")
	switch {
	case p.Act != act:
	case act == "split":
		line = o.Invocation(p.Journal, "merge", "--from", console.Here(p.Other))
	default:
		line = o.Invocation(p.Journal, "split", "--modules", strings.Join(p.Modules, ","), "--into", "FILE")
	}
	return advise(err, line, "does that")
}

// Refused returns the error of a program that may not run its modules on the journal at path, with the flag or the
// command line that helps.
func Refused(o *console.Options, path string, err error) error {
	err = move.Refusal(err)
	var elsewhere *move.ElsewhereError
	var stranded *sqlite.StrandedError
	switch {
	case errors.As(err, &elsewhere):
		err = fmt.Errorf("%w; --modules names the modules to run here", err)
		if elsewhere.Other != "" {
			return advise(err, o.Invocation(path, "merge", "--from", console.Here(elsewhere.Other)), "brings it back")
		}
	case errors.As(err, &stranded):
		return advise(err, o.Invocation(path, "split", "--modules", stranded.Module(), "--into", "FILE"), "splits it off")
	}
	return leftBehind(o, path, err)
}

// leftBehind adds to a refusal for open work the command lines that give the work up, for each subscription.
func leftBehind(o *console.Options, path string, err error) error {
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return err
	}
	for _, one := range joined.Unwrap() {
		open, is := errors.AsType[*sqlite.OpenWorkError](one)
		if !is {
			continue
		}
		if open.OpenWork == (sqlite.OpenWork{DeadLetters: open.DeadLetters}) {
			err = advise(err, o.Invocation(path, "dlq", "drop", "--subscription", open.Subscription, "--reason", "WHY"), "gives up its dead letters")
		} else {
			err = advise(err, o.Invocation(path, "retire", open.Subscription, "--reason", "WHY"), "gives up its work")
		}
	}
	return err
}

// advise adds a command line to err, unless it is "" since it cannot be typed, and what the command line does.
func advise(err error, line, does string) error {
	if line == "" {
		return err
	}
	return fmt.Errorf("%w; '%s' %s", err, line, does)
}
