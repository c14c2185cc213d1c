package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/answers"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Merge moves all modules of the journal at o.Other into the journal at o.Journal, and proves that no row was lost or
// doubled. The file at o.Other stays, but cannot be opened for writing any more. Merge is all or nothing, even when the
// process is killed: call Merge again then. ctx can end the merge only before the decision.
func Merge(ctx context.Context, o Options) (*Proof, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.checkOther(); err != nil {
		return nil, err
	}
	m := &merge{Options: o}
	defer func() { _ = m.close() }() // rolls back uncommitted rows
	again, err := m.begin(ctx)
	if err != nil || again != nil {
		return again, err
	}
	if o.DryRun {
		m.proof.DryRun = true
		come := answers.OfBus(m.other.Staying)
		for name, sum := range m.other.Moving {
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

// merge is a running Merge.
type merge struct {
	Options
	proof *Proof
	locks dbfile.Locks
	a     *dbfile.File // the journal, with the other journal attached as b

	identity string              // of the journal before the merge
	head     int64               // the last event of the journal before the merge
	before   inventory.Inventory // of the journal before the merge
	other    inventory.Inventory // of the other journal, which does not change
	expected struct{ moved, stayed inventory.Part }
}

func (m *merge) close() error { return errors.Join(m.a.Close(), m.locks.Release()) }

// begin checks and locks both journals. If the merge took place before, begin returns its proof.
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

// look refuses a merge that check would refuse, and changes no file. Journals of an older program, and the result of
// an earlier run, are left to take.
func (m *merge) look(ctx context.Context) error {
	for _, path := range []string{m.Journal, m.Other} {
		if current, err := dbfile.Current(ctx, path); err != nil || !current {
			return err
		}
	}
	return dbfile.Peek(ctx, m.Other, func(b *dbfile.File) error {
		if r, err := readMove(ctx, b, merged); err != nil || r != nil {
			return err
		}
		return dbfile.Peek(ctx, m.Journal, func(a *dbfile.File) error { return m.fits(ctx, a, b) })
	})
}

// take updates both journals to the current schema, and takes their locks.
func (m *merge) take(ctx context.Context) error {
	if err := m.look(ctx); err != nil {
		return err
	}
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

// merged finds the newest merge of a journal into another one, in the journal that was merged.
const merged = "SELECT proof, state FROM main.moves WHERE act = 'merge' AND proof ->> '$.asks' IS NOT NULL ORDER BY at DESC, rowid DESC LIMIT 1"

// made returns the proof of an earlier run of the same merge, if that is why the other journal cannot be opened. Else
// it returns refused, the error from opening the journal.
func (m *merge) made(ctx context.Context, refused error) (*Proof, error) {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = b.Close() }()
	otherRow, err := readMove(ctx, b, merged)
	if err != nil || otherRow == nil {
		return nil, refused
	}
	a, err := dbfile.Open(ctx, m.Journal, dbfile.Reading)
	if err != nil {
		return nil, refused
	}
	defer func() { _ = a.Close() }()
	row, err := readMove(ctx, a, "SELECT proof, state FROM main.moves WHERE id = ? AND act = 'merge'", otherRow.Proof.ID)
	if err != nil || row == nil {
		return nil, refused
	}
	if last, err := lastMove(ctx, a, row.Proof.Modules); err != nil || last == nil || last.Proof.ID != row.Proof.ID {
		return nil, errors.Join(err, refused) // the modules have left the journal again
	}
	m.repeated(row.Proof)
	return row.Proof, nil
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

// check checks that the modules can be merged, and takes the inventories of both journals.
func (m *merge) check(ctx context.Context) error {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Reading)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // only read
	if err := m.fits(ctx, m.a, b); err != nil {
		return err
	}
	m.proof = m.Options.proof("merge")
	m.Progress("counting")
	if m.other, err = inventory.Take(ctx, b, m.Modules); err != nil {
		return err
	}
	m.before, err = inventory.Take(ctx, m.a, m.Modules)
	return err
}

// fits sets m.Modules, and returns an error when the modules of b cannot come into a.
func (m *merge) fits(ctx context.Context, a, b *dbfile.File) (err error) {
	if m.Modules, err = modulesOf(ctx, b); err != nil {
		return err
	}
	present, err := modulesOf(ctx, a)
	if err != nil {
		return err
	}
	if len(m.Modules) == 0 {
		return fmt.Errorf("%w: %s has none", ErrModules, m.Other)
	}
	for _, name := range m.Modules {
		if slices.Contains(present, name) {
			return fmt.Errorf("%w: %s is in both journals, and only one of the two can be right", ErrModules, name)
		}
	}
	stuck, err := inventory.Stuck(ctx, b, m.Modules)
	if err == nil && stuck != "" {
		err = fmt.Errorf("%w: %s", ErrModules, stuck)
	}
	return errors.Join(dbfile.SameProgram(ctx, a, b), err)
}

// prepare marks the other journal, copies the journal, and takes the write locks of both databases: people who act on
// dead letters do not take a journal's lock.
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
	if now, err := inventory.Of(ctx, m.Other, m.Modules); err != nil || len(inventory.Changed(m.other, now)) > 0 {
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

// mark writes the row of the merge into the other journal.
func (m *merge) mark(ctx context.Context, state string) error {
	b, err := dbfile.Open(ctx, m.Other, dbfile.Durable)
	if err != nil {
		return err
	}
	half := record{Asks: m.identity, Path: m.Other, Proof: m.proof}
	err = half.put(ctx, b, m.Journal, state)
	if err == nil && state == "done" {
		err = inventory.Freeze(ctx, b, fmt.Sprintf("the modules of this journal were merged into %s: act on dead letters there", m.Journal))
	}
	return errors.Join(err, b.Close())
}

// decide brings in the modules, checks the proof and commits. The commit makes the merge.
func (m *merge) decide(ctx context.Context) error {
	m.Progress(fmt.Sprintf("bringing %s into %s", strings.Join(m.Modules, ", "), m.Journal))
	if err := m.come(ctx); err != nil {
		return fmt.Errorf("bring into %s: %w", m.Journal, err)
	}
	after, err := inventory.Take(ctx, m.a, m.Modules)
	if err != nil {
		return err
	}
	m.judge(after)
	if err := m.proof.check(); err != nil {
		return err
	}
	r := record{Path: m.Journal, Proof: m.proof, Before: m.before, After: after, OtherAfter: m.other}
	if err := r.put(ctx, m.a, m.Other, "done"); err != nil {
		return err
	}
	if err := errors.Join(m.Ready(), m.at("judged")); err != nil {
		return err
	}
	return m.a.Run(context.WithoutCancel(ctx), dbfile.Stmt("COMMIT"))
}

// judge compares the inventory after with the expected sums, and fills the proof.
func (m *merge) judge(after inventory.Inventory) {
	moved, stayed := inventory.Part{}, inventory.Part{}
	for name, sum := range after.Moving {
		if name != inventory.ToSend && name != inventory.PassedOver { // predict took care of both: see come.go
			moved[name] = sum
		}
	}
	for name, sum := range after.Staying {
		stayed[name] = sum
	}
	m.proof.compare([2]inventory.Part{m.expected.moved, moved}, [2]inventory.Part{m.expected.stayed, stayed})
}

// finish marks the merge as done in the other journal, and checks the proof again from the disk.
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
	m.Progress("checking the journal on disk")
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
		return fmt.Errorf("%w: there is no copy to restore: find the cause before you run the journal", err)
	}
	if restored := restore(ctx, m.proof); restored != nil {
		return errors.Join(err, fmt.Errorf("restoring the journal failed, too: its copy is %s: %w", m.proof.Backup, restored))
	}
	return errors.Join(fmt.Errorf("%w: both journals were restored", err), unmark(ctx, m.Other, m.proof.ID))
}

// unmark removes the row of a merge that did not take place from the journal at path, and allows acts there again.
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

// abandon removes the traces of a merge that did not take place. The journal decides: a commit that returned an error
// may have been made after all.
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
