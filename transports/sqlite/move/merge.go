package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/answers"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Merge brings all modules of the journal at o.Other into the one at o.Journal, and proves that nothing was lost or doubled.
// o.Other stays where it is, but cannot be opened for writing any more. It is all or nothing, also when it is killed: repeat
// it then. ctx ends it before it is decided, never in between.
func Merge(ctx context.Context, o Options) (*Proof, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.checkOther(); err != nil {
		return nil, err
	}
	m := &merge{Options: o}
	defer func() { _ = m.close() }() // what is not committed was not to be
	again, err := m.begin(ctx)
	if err != nil || again != nil {
		return again, err
	}
	if o.DryRun {
		m.proof.DryRun = true
		come := answers.OfBus(m.there.Staying)
		for name, sum := range m.there.Moving {
			come[name] = come[name].Plus(sum)
		}
		m.proof.compare([2]inventory.Part{come}, [2]inventory.Part{m.before.Staying})
		return m.proof, nil
	}
	err = m.prepare(ctx)
	if err == nil {
		err = m.decide(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, m.a.Close(), m.abandon(ctx))
	}
	return m.proof, m.finish(context.WithoutCancel(ctx))
}

// merge is one under way.
type merge struct {
	Options
	proof *Proof
	locks dbfile.Locks
	a     *dbfile.File // the journal, with the other one attached as b

	identity string              // of the journal, before
	head     int64               // likewise
	before   inventory.Inventory // of the journal
	there    inventory.Inventory // of the other one: it does not change
	expected struct{ moved, stayed inventory.Part }
}

func (m *merge) close() error { return errors.Join(m.a.Close(), m.locks.Release()) }

// begin makes sure that the merge can be made, and takes both journals. When it was made before, it returns its proof.
func (m *merge) begin(ctx context.Context) (again *Proof, err error) {
	if m.DryRun {
		err = dbfile.CheckReadable(ctx, m.Journal, m.Other)
	} else if err = m.take(ctx); err != nil {
		return m.made(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	if err := m.attach(ctx); err != nil {
		return nil, err
	}
	if err := m.check(ctx); err != nil {
		return nil, err
	}
	if m.DryRun {
		return nil, nil
	}
	if err := dbfile.RemoveParts(m.Journal); err != nil {
		return nil, err
	}
	return nil, dbfile.CheckSpace(m.Journal, "", !m.NoBackup)
}

// take brings both journals up to date, and takes their locks.
func (m *merge) take(ctx context.Context) error {
	for _, path := range []string{m.Journal, m.Other} {
		if err := dbfile.Refresh(ctx, path); err != nil {
			return err
		}
	}
	for _, path := range []string{m.Journal, m.Other} {
		if err := m.locks.Take(path); err != nil {
			return err
		}
	}
	return nil
}

// made returns the proof of the same merge, when that is why the other journal refuses to be opened; refused is its error.
func (m *merge) made(ctx context.Context, refused error) (*Proof, error) {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = b.Close() }()
	theirs, err := readMove(ctx, b, "SELECT proof, state FROM main.moves WHERE act = 'merge' AND proof ->> '$.asks' IS NOT NULL ORDER BY at DESC LIMIT 1")
	if err != nil || theirs == nil {
		return nil, refused
	}
	a, err := dbfile.Open(ctx, m.Journal, dbfile.Reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = a.Close() }()
	ours, err := readMove(ctx, a, "SELECT proof, state FROM main.moves WHERE id = ? AND act = 'merge'", theirs.Proof.ID)
	if err != nil || ours == nil {
		return nil, refused
	}
	if last, err := lastMove(ctx, a, ours.Proof.Modules); err != nil || last == nil || last.Proof.ID != ours.Proof.ID {
		return nil, errors.Join(err, refused) // what came has left again
	}
	m.repeated(ours.Proof)
	return ours.Proof, nil
}

// attach opens both journals on one connection.
func (m *merge) attach(ctx context.Context) (err error) {
	how := dbfile.Durable
	if m.DryRun {
		how = dbfile.Reading
	}
	if m.a, err = dbfile.Open(ctx, m.Journal, how); err != nil {
		return err
	}
	return m.a.Run(ctx, dbfile.Stmt("ATTACH ? AS b", dbfile.URI(m.Other)+"?mode=rw"))
}

// check makes sure that the modules can come, and takes the inventory of both journals.
func (m *merge) check(ctx context.Context) error {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Reading)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // it was only read
	if m.Modules, err = modulesOf(ctx, b); err != nil {
		return err
	}
	here, err := modulesOf(ctx, m.a)
	if err != nil {
		return err
	}
	if len(m.Modules) == 0 {
		return fmt.Errorf("%w: %s has none", ErrModules, m.Other)
	}
	for _, name := range m.Modules {
		if slices.Contains(here, name) {
			return fmt.Errorf("%w: %s is in both journals: which of them is right, nobody can tell", ErrModules, name)
		}
	}
	m.proof = m.Options.proof("merge")
	if err := errors.Join(samePrograms(ctx, m.a, b), nobodys(ctx, b, m.Modules)); err != nil {
		return err
	}
	m.Progress("counting")
	if m.there, err = inventory.Take(ctx, b, m.Modules); err != nil {
		return err
	}
	m.before, err = inventory.Take(ctx, m.a, m.Modules)
	return err
}

// samePrograms refuses journals of two programs. A journal without a program fits any.
func samePrograms(ctx context.Context, a, b *dbfile.File) error {
	const name = "SELECT name FROM main.program"
	here, err := a.Texts(ctx, name)
	there, wrong := b.Texts(ctx, name)
	if err = errors.Join(err, wrong); err != nil {
		return err
	}
	if len(here) > 0 && len(there) > 0 && here[0] != there[0] {
		return fmt.Errorf("%w: %s is a journal of %s, and %s one of %s", sqlite.ErrOtherProgram, a.Path, here[0], b.Path, there[0])
	}
	return nil
}

// nobodys refuses a journal with something in it that belongs to no module: it would be left behind.
func nobodys(ctx context.Context, b *dbfile.File, modules []string) error {
	objects, err := inventory.Objects(ctx, b, "main")
	if err != nil {
		return err
	}
	names, err := b.Texts(ctx, "SELECT name FROM main.subscriptions WHERE kind = 'group' AND name <> 'relay'")
	if err != nil {
		return err
	}
	for _, o := range objects {
		if inventory.Virtual.MatchString(o.SQL) {
			return fmt.Errorf("%w: %s in %s %s", ErrModules, o.Name, b.Path, inventory.VirtualReason)
		}
		if inventory.Owner(o.Table, modules) == "" {
			names = append(names, o.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s has what belongs to no module, and would be left behind: %s: remove it first", ErrModules, b.Path, strings.Join(names, ", "))
	}
	return nil
}

// prepare marks the other journal, makes the copy of the journal, and takes the write locks of both: people who act on dead letters
// need no lock of the journal's.
func (m *merge) prepare(ctx context.Context) error {
	err := m.a.QueryRowContext(ctx, "SELECT id, (SELECT coalesce(max(seq), 0) FROM main.events) FROM main.identity").Scan(&m.identity, &m.head)
	if err != nil {
		return err
	}
	if err := m.at("locked"); err != nil {
		return err
	}
	if err := m.mark(ctx, "prepared"); err != nil {
		return err
	}
	if err := m.at("prepared"); err != nil {
		return err
	}
	if err := m.a.Run(ctx, dbfile.Stmt("BEGIN IMMEDIATE")); err != nil {
		return err
	}
	if there, err := inventory.Of(ctx, m.Other, m.Modules); err != nil || len(inventory.Changed(m.there, there)) > 0 {
		return errors.Join(err, fmt.Errorf("%w: %s was written to meanwhile: try again", ErrChanged, m.Other))
	}
	if m.before, err = inventory.Take(ctx, m.a, m.Modules); err != nil {
		return err
	}
	if m.NoBackup {
		return nil
	}
	if err := m.backUp(ctx, m.proof, m.before); err != nil {
		return err
	}
	return m.at("backed up")
}

// mark writes the row of the move into the other journal.
func (m *merge) mark(ctx context.Context, state string) error {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Durable)
	if err != nil {
		return err
	}
	half := record{Asks: m.identity, Path: m.Other, Proof: m.proof}
	err = half.put(ctx, b, m.Journal, state)
	if err == nil && state == "done" {
		err = inventory.Freeze(ctx, b, fmt.Sprintf("the modules of this journal were merged into %s: act on them there", m.Journal))
	}
	return errors.Join(err, b.Close())
}

// decide brings the modules in. Its commit is what makes the merge.
func (m *merge) decide(ctx context.Context) error {
	m.Progress(fmt.Sprintf("bringing %s into %s", strings.Join(m.Modules, ", "), m.Journal))
	if err := m.come(ctx); err != nil {
		return fmt.Errorf("move: bring into %s: %w", m.Journal, err)
	}
	after, err := inventory.Take(ctx, m.a, m.Modules)
	if err != nil {
		return err
	}
	m.judge(after)
	if err := m.proof.check(); err != nil {
		return err
	}
	r := record{Path: m.Journal, Proof: m.proof, Before: m.before, After: after, There: m.there}
	if err := r.put(ctx, m.a, m.Other, "done"); err != nil {
		return err
	}
	if err := errors.Join(m.Ready(), m.at("judged")); err != nil {
		return err
	}
	return m.a.Run(context.WithoutCancel(ctx), dbfile.Stmt("COMMIT"))
}

// judge compares what there was, and what comes of it in one journal, with what there is.
func (m *merge) judge(after inventory.Inventory) {
	moved, stayed := inventory.Part{}, inventory.Part{}
	for name, sum := range after.Moving {
		if name != inventory.ToSend && name != inventory.PassedOver { // what is not sent was made sure of; the latter see come.go
			moved[name] = sum
		}
	}
	for name, sum := range after.Staying {
		stayed[name] = sum
	}
	m.proof.compare([2]inventory.Part{m.expected.moved, moved}, [2]inventory.Part{m.expected.stayed, stayed})
}

// finish tells the other journal that it is empty now, and reads everything once more from the disk.
func (m *merge) finish(ctx context.Context) error {
	if err := errors.Join(m.at("decided"), m.a.Close()); err != nil {
		return err
	}
	if err := m.mark(ctx, "done"); err != nil {
		return err
	}
	if err := m.at("done"); err != nil {
		return err
	}
	m.Progress("reading it once more")
	after, err := inventory.Of(ctx, m.Journal, m.Modules)
	if err != nil {
		return err
	}
	m.judge(after)
	if err = m.proof.check(); err == nil {
		err = inventory.Audit(ctx, m.Journal)
	}
	if err == nil {
		return nil
	}
	if m.NoBackup {
		return fmt.Errorf("%w: there is no copy to go back to: do not run it before this is understood", err)
	}
	if restored := restore(ctx, m.proof); restored != nil {
		return errors.Join(err, fmt.Errorf("move: and it cannot be undone: %s is the journal as it was: %w", m.proof.Backup, restored))
	}
	return errors.Join(fmt.Errorf("%w: both journals are again as they were", err), unmark(ctx, m.Other, m.proof.ID))
}

// unmark takes the row of a merge that is not to be out of the other journal.
func unmark(ctx context.Context, path, id string) error {
	b, err := dbfile.Open(ctx, path, dbfile.Durable)
	if err != nil {
		return err
	}
	err = b.Run(ctx, dbfile.Stmt("BEGIN IMMEDIATE"), dbfile.Stmt("DELETE FROM main.moves WHERE id = ?", id))
	if err == nil {
		err = inventory.Thaw(ctx, b)
	}
	if err == nil {
		err = b.Run(ctx, dbfile.Stmt("COMMIT"))
	}
	return errors.Join(err, b.Close())
}

// abandon takes back what was made for a merge that is not to be. Whether it is, the journal knows: a commit that failed may have
// been made after all.
func (m *merge) abandon(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	a, err := dbfile.Open(ctx, m.Journal, dbfile.Reading)
	if err != nil {
		return err
	}
	n, err := a.Int64(ctx, "SELECT count(*) FROM main.moves WHERE id = ?", m.proof.ID)
	if err = errors.Join(err, a.Close()); err != nil || n > 0 {
		return err
	}
	err = unmark(ctx, m.Other, m.proof.ID)
	if m.proof.Backup != "" {
		err = errors.Join(err, dbfile.Remove(m.proof.Backup), dbfile.Remove(m.proof.part(m.proof.Backup)))
	}
	return err
}
