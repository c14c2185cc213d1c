package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite"
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
		come := ofBus(m.there.Staying)
		for name, sum := range m.there.Moving {
			come[name] = come[name].plus(sum)
		}
		m.proof.compare([2]part{come}, [2]part{m.before.Staying})
		return m.proof, nil
	}
	err = m.prepare(ctx)
	if err == nil {
		err = m.decide(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, m.a.close(), m.abandon(ctx))
	}
	return m.proof, m.finish(context.WithoutCancel(ctx))
}

// merge is one under way.
type merge struct {
	Options
	proof *Proof
	locks locked
	a     *file // the journal, with the other one attached as b

	identity string    // of the journal, before
	head     int64     // likewise
	before   inventory // of the journal
	there    inventory // of the other one: it does not change
	expected struct{ moved, stayed part }
}

func (m *merge) close() error { return errors.Join(m.a.close(), m.locks.release()) }

// begin makes sure that the merge can be made, and takes both journals. When it was made before, it returns its proof.
func (m *merge) begin(ctx context.Context) (again *Proof, err error) {
	if m.DryRun {
		err = readable(ctx, m.Journal, m.Other)
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
	if err := sweep(m.Journal); err != nil {
		return nil, err
	}
	return nil, checkRoom(m.Journal, "", !m.NoBackup)
}

// take brings both journals up to date, and takes their locks.
func (m *merge) take(ctx context.Context) error {
	for _, path := range []string{m.Journal, m.Other} {
		if err := refresh(ctx, path); err != nil {
			return err
		}
	}
	for _, path := range []string{m.Journal, m.Other} {
		if err := m.locks.take(path); err != nil {
			return err
		}
	}
	return nil
}

// made returns the proof of the same merge, when that is why the other journal refuses to be opened; refused is its error.
func (m *merge) made(ctx context.Context, refused error) (*Proof, error) {
	b, err := open(ctx, m.Other, reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = b.close() }()
	theirs, err := readMove(ctx, b, "SELECT proof, state FROM main.moves WHERE act = 'merge' AND proof ->> '$.asks' IS NOT NULL ORDER BY at DESC LIMIT 1")
	if err != nil || theirs == nil {
		return nil, refused
	}
	a, err := open(ctx, m.Journal, reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = a.close() }()
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
	how := careful
	if m.DryRun {
		how = reading
	}
	if m.a, err = open(ctx, m.Journal, how); err != nil {
		return err
	}
	return m.a.run(ctx, stmt("ATTACH ? AS b", uri(m.Other)+"?mode=rw"))
}

// check makes sure that the modules can come, and takes the inventory of both journals.
func (m *merge) check(ctx context.Context) error {
	b, err := open(ctx, m.Other, reading)
	if err != nil {
		return err
	}
	defer func() { _ = b.close() }() // it was only read
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
	if m.there, err = takeInventory(ctx, b, m.Modules); err != nil {
		return err
	}
	m.before, err = takeInventory(ctx, m.a, m.Modules)
	return err
}

// samePrograms refuses journals of two programs. A journal without a program fits any.
func samePrograms(ctx context.Context, a, b *file) error {
	const name = "SELECT name FROM main.program"
	here, err := a.texts(ctx, name)
	there, wrong := b.texts(ctx, name)
	if err = errors.Join(err, wrong); err != nil {
		return err
	}
	if len(here) > 0 && len(there) > 0 && here[0] != there[0] {
		return fmt.Errorf("%w: %s is a journal of %s, and %s one of %s", sqlite.ErrOtherProgram, a.path, here[0], b.path, there[0])
	}
	return nil
}

// nobodys refuses a journal with something in it that belongs to no module: it would be left behind.
func nobodys(ctx context.Context, b *file, modules []string) error {
	objects, err := readObjects(ctx, b, "main")
	if err != nil {
		return err
	}
	names, err := b.texts(ctx, "SELECT name FROM main.subscriptions WHERE kind = 'group' AND name <> 'relay'")
	if err != nil {
		return err
	}
	for _, o := range objects {
		if virtual.MatchString(o.sql) {
			return fmt.Errorf("%w: %s in %s %s", ErrModules, o.name, b.path, virtualWhy)
		}
		if ownerOf(o.table, modules) == "" {
			names = append(names, o.name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s has what belongs to no module, and would be left behind: %s: remove it first", ErrModules, b.path, strings.Join(names, ", "))
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
	if err := m.a.run(ctx, stmt("BEGIN IMMEDIATE")); err != nil {
		return err
	}
	if there, err := inventoryOf(ctx, m.Other, m.Modules); err != nil || len(changed(m.there, there)) > 0 {
		return errors.Join(err, fmt.Errorf("%w: %s was written to meanwhile: try again", ErrChanged, m.Other))
	}
	if m.before, err = takeInventory(ctx, m.a, m.Modules); err != nil {
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
	b, err := open(ctx, m.Other, careful)
	if err != nil {
		return err
	}
	half := record{Asks: m.identity, Path: m.Other, Proof: m.proof}
	err = half.put(ctx, b, m.Journal, state)
	if err == nil && state == "done" {
		err = freeze(ctx, b, fmt.Sprintf("the modules of this journal were merged into %s: act on them there", m.Journal))
	}
	return errors.Join(err, b.close())
}

// decide brings the modules in. Its commit is what makes the merge.
func (m *merge) decide(ctx context.Context) error {
	m.Progress(fmt.Sprintf("bringing %s into %s", strings.Join(m.Modules, ", "), m.Journal))
	if err := m.come(ctx); err != nil {
		return fmt.Errorf("move: bring into %s: %w", m.Journal, err)
	}
	after, err := takeInventory(ctx, m.a, m.Modules)
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
	return m.a.run(context.WithoutCancel(ctx), stmt("COMMIT"))
}

// judge compares what there was, and what comes of it in one journal, with what there is.
func (m *merge) judge(after inventory) {
	moved, stayed := part{}, part{}
	for name, sum := range after.Moving {
		if name != inUnsent && name != inPassed { // what is not sent was made sure of; the latter see come.go
			moved[name] = sum
		}
	}
	for name, sum := range after.Staying {
		stayed[name] = sum
	}
	m.proof.compare([2]part{m.expected.moved, moved}, [2]part{m.expected.stayed, stayed})
}

// finish tells the other journal that it is empty now, and reads everything once more from the disk.
func (m *merge) finish(ctx context.Context) error {
	if err := errors.Join(m.at("decided"), m.a.close()); err != nil {
		return err
	}
	if err := m.mark(ctx, "done"); err != nil {
		return err
	}
	if err := m.at("done"); err != nil {
		return err
	}
	m.Progress("reading it once more")
	after, err := inventoryOf(ctx, m.Journal, m.Modules)
	if err != nil {
		return err
	}
	m.judge(after)
	if err = m.proof.check(); err == nil {
		err = audit(ctx, m.Journal)
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
	b, err := open(ctx, path, careful)
	if err != nil {
		return err
	}
	err = b.run(ctx, stmt("BEGIN IMMEDIATE"), stmt("DELETE FROM main.moves WHERE id = ?", id))
	if err == nil {
		err = thaw(ctx, b)
	}
	if err == nil {
		err = b.run(ctx, stmt("COMMIT"))
	}
	return errors.Join(err, b.close())
}

// abandon takes back what was made for a merge that is not to be. Whether it is, the journal knows: a commit that failed may have
// been made after all.
func (m *merge) abandon(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	a, err := open(ctx, m.Journal, reading)
	if err != nil {
		return err
	}
	n, err := a.int64(ctx, "SELECT count(*) FROM main.moves WHERE id = ?", m.proof.ID)
	if err = errors.Join(err, a.close()); err != nil || n > 0 {
		return err
	}
	err = unmark(ctx, m.Other, m.proof.ID)
	if m.proof.Backup != "" {
		err = errors.Join(err, remove(m.proof.Backup), remove(m.proof.part(m.proof.Backup)))
	}
	return err
}
