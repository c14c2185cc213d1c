package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// choose fills temp.map and temp.subs, and s.moved with the sums of the rows that the new journal is to have.
func (s *split) choose(ctx context.Context) (err error) {
	if err := s.b.Attach(ctx, s.a, "a"); err != nil {
		return err
	}
	if err := s.b.RunAll(ctx, inventory.ChooseEvents, s.Modules); err != nil {
		return err
	}
	s.moved = inventory.Part{}
	for name, sum := range s.before.Moving {
		s.moved[name] = sum
	}
	s.moved[inventory.Events], err = s.b.Sum(ctx, `SELECT count(*), digest(`+inventory.EventContent+`) FROM temp.map m JOIN a.events e ON e.seq = m.a`, s.Modules)
	return err
}

// build makes the whole new journal in s.part, and closes it.
func (s *split) build(ctx context.Context) (err error) {
	if err := dbfile.CreatePrivate(s.part); err != nil {
		return err
	}
	j, err := sqlite.Open(ctx, s.part, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := errors.Join(j.Close(), os.Remove(s.part+".lock")); err != nil {
		return err
	}
	if s.b, err = dbfile.Open(ctx, s.part, dbfile.Volatile); err != nil {
		return err
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	if err := s.b.Run(ctx, dbfile.Stmt("BEGIN")); err != nil {
		return err
	}
	if err := s.b.RunAll(ctx, inventory.CopyRows, s.Modules); err != nil {
		return err
	}
	known, err := s.fillTables(ctx)
	if err != nil {
		return err
	}
	if err := s.guardNew(ctx, known); err != nil {
		return err
	}
	half := record{Asks: s.identity, Path: s.Other, Proof: s.proof}
	if err := half.put(ctx, s.b, s.Journal, "prepared"); err != nil {
		return err
	}
	if err := s.b.Run(ctx, dbfile.Stmt("COMMIT"), dbfile.Stmt("DETACH a")); err != nil {
		return err
	}
	err = s.b.Close()
	s.b = nil
	return errors.Join(err, dbfile.CopyMode(s.Journal, s.part))
}

// fillTables copies the tables of the modules, and returns the names of all modules of the journal.
func (s *split) fillTables(ctx context.Context) (known []string, err error) {
	if known, err = inventory.Modules(ctx, s.a); err != nil {
		return nil, err
	}
	objects, err := inventory.Objects(ctx, s.b, "a")
	if err != nil {
		return nil, err
	}
	if err := inventory.CopyObjects(ctx, s.b, "a", inventory.OfModules(objects, s.Modules, known)); err != nil {
		return nil, err
	}
	noting, err := s.b.Texts(ctx, `SELECT sql FROM a.sqlite_schema WHERE `+inventory.IsRecordTrigger)
	for _, text := range noting {
		err = errors.Join(err, s.b.Run(ctx, dbfile.Stmt(text)))
	}
	return known, err
}

// guardNew adds guards to the new journal against all modules of the old journal that do not move.
func (s *split) guardNew(ctx context.Context, known []string) error {
	if err := inventory.CopyGuards(ctx, s.b, "a"); err != nil {
		return err
	}
	moving := map[string]bool{}
	for _, m := range s.Modules {
		moving[m] = true
		if err := inventory.LetIn(ctx, s.b, m); err != nil {
			return err
		}
	}
	for _, m := range known {
		if moving[m] {
			continue
		}
		why := fmt.Sprintf("%s stayed in %s"+inventory.WhenSplit+
			" off: run it there, and only the other modules here", m, s.Journal)
		if err := inventory.GuardOut(ctx, s.b, m, why); err != nil {
			return err
		}
	}
	return nil
}

// leave drops the tables and rows of the modules from the journal, and adds guards against the modules.
func (s *split) leave(ctx context.Context) error {
	known, err := inventory.Modules(ctx, s.a)
	if err != nil {
		return err
	}
	objects, err := inventory.Objects(ctx, s.a, "main")
	if err != nil {
		return err
	}
	if err := inventory.DropObjects(ctx, s.a, inventory.OfModules(objects, s.Modules, known)); err != nil {
		return err
	}
	if err := s.a.RunAll(ctx, inventory.DeleteRows, s.Modules); err != nil {
		return err
	}
	for _, m := range s.Modules {
		why := fmt.Sprintf("%s went to %s"+inventory.WhenSplit+
			": run it there, and only the other modules here, or merge %s into %s to bring it back", m, s.Other, s.Other, s.Journal)
		if err := inventory.GuardOut(ctx, s.a, m, why); err != nil {
			return err
		}
	}
	return nil
}
