package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Leftover is a file that a move made beside the journal, and that no program needs.
type Leftover struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // size of the file, with the files that SQLite keeps beside it
	What  string `json:"what"`
	Do    string `json:"do"` // shell command that removes the file
}

// Leftovers finds the files that moves of the journal at path have left in the journal's folder and in the folders of
// the other journals: copies of the journal, parts of killed moves, and journals that are out of use. Leftovers changes
// no file, and may run beside the process that owns the journal.
func Leftovers(ctx context.Context, path string) (found []Leftover, err error) {
	path, err = sqlite.Resolve(path)
	if err == nil {
		err = dbfile.CheckReadable(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	f, err := dbfile.Look(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l := &leftovers{journal: path, f: f}
	others, err := f.Texts(ctx, "SELECT other FROM main.moves")
	if err != nil {
		return nil, err
	}
	folders := map[string]bool{filepath.Dir(path): true}
	for _, other := range others {
		folders[filepath.Dir(other)] = true
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if err := l.look(ctx, folder); err != nil {
			return nil, err
		}
	}
	return l.found, nil
}

type leftovers struct {
	journal string
	f       *dbfile.File
	found   []Leftover
}

// look searches a folder. A file that cannot be read is left out.
func (l *leftovers) look(ctx context.Context, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if path == l.journal || sqlite.CheckName(path) != nil {
			continue
		}
		if isJournal, err := dbfile.IsJournal(path); err != nil || !isJournal {
			continue
		}
		what, err := l.whatIs(ctx, path)
		if err != nil {
			return err
		}
		if what != "" {
			l.found = append(l.found, Leftover{path, dbfile.Size(path), what, "rm " + strings.Join(dbfile.Quoted(path), " ")})
		}
	}
	return nil
}

// whatIs describes the file at path, or returns "" when no move of the journal left the file.
func (l *leftovers) whatIs(ctx context.Context, path string) (string, error) {
	name, base := filepath.Base(path), filepath.Base(l.journal)
	switch copied := dbfile.CopyName.FindStringSubmatch(name); {
	case dbfile.PartName.MatchString(name):
		return "under construction, by a move that is running or was killed: the next run of a killed one removes it", nil
	case copied == nil:
		return l.half(ctx, path)
	case copied[1] != base || filepath.Dir(path) != filepath.Dir(l.journal):
		return "", nil // the copy of another journal
	default:
		r, err := readMove(ctx, l.f, "SELECT proof, state FROM main.moves WHERE id = ?", copied[2])
		if err != nil {
			return "", err
		}
		if r == nil {
			return "a copy of the journal, made for a move that did not take place", nil
		}
		use := "which an undo needs"
		if last, err := readMove(ctx, l.f, lastOwn); err != nil || last == nil || last.Proof.ID != r.Proof.ID {
			use = "of no use for an undo, since there was another move"
		}
		return fmt.Sprintf("the copy of the journal before the %s of %s at %s, %s",
			cmp.Or(r.Proof.Undoes, r.Proof.Act), strings.Join(r.Proof.Modules, ", "), r.Proof.At.Format(time.DateTime), use), nil
	}
}

// half describes the journal at path when it was part of a move of this journal and is out of use now.
func (l *leftovers) half(ctx context.Context, path string) (string, error) {
	b, err := dbfile.Look(ctx, path)
	if err != nil {
		return "", nil
	}
	defer func() { _ = b.Close() }() // only read
	otherRow, err := readMove(ctx, b, "SELECT proof, state FROM main.moves WHERE proof ->> '$.asks' IS NOT NULL ORDER BY at DESC, rowid DESC LIMIT 1")
	if err != nil || otherRow == nil {
		return "", nil // another program's file, or a journal that was never moved
	}
	row, err := readMove(ctx, l.f, "SELECT proof, state FROM main.moves WHERE id = ?", otherRow.Proof.ID)
	if err != nil {
		return "", err
	}
	modules := strings.Join(otherRow.Proof.Modules, ", ")
	identity, err := l.f.Texts(ctx, "SELECT id FROM main.identity")
	switch {
	case err != nil:
		return "", err
	case otherRow.Proof.Act == "merge" && row != nil && row.Proof.Act == "merge":
		return fmt.Sprintf("the journal that %s came from, when it was merged into this one", modules), nil
	case otherRow.Proof.Act == "split" && otherRow.state == "prepared" &&
		(row == nil && slices.Contains(identity, otherRow.Asks) || row != nil && row.Proof.Act == "undo"):
		return fmt.Sprintf("one half of a split of %s that did not take place", modules), nil
	}
	return "", nil
}
