package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// baits are names of foreign files beside a new journal, and like the names of the journal's parts.
var baits = []string{"away.db.part", "away.db.part-0123456789abcdef", "away.db.before-0123456789abcdef.part"}

// letter is the content of baits.
const letter = "a letter, which belongs to somebody else\n"

// PutBaits writes foreign files to the folder of a journal. A split must keep files with names like parts of the
// journal.
func PutBaits(folder string) error {
	for _, name := range baits {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(letter), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// TakeBaits removes the files of PutBaits, and returns an error about changed files.
func TakeBaits(folder string) (err error) {
	for _, name := range baits {
		path := filepath.Join(folder, name)
		if text, failed := os.ReadFile(path); failed != nil || string(text) != letter {
			err = fmt.Errorf("the foreign file %s was changed or removed: %v", name, failed)
		}
		_ = os.Remove(path) // it may be gone
	}
	return err
}

// Log runs troupe split with args beside the log of another journal: the log of journal has the name of the new
// journal's log. A split must refuse the log, because SQLite would use the log for the new journal.
func Log(journal string, args []string, troupe Troupe) error {
	log, err := os.ReadFile(journal + "-wal")
	if errors.Is(err, fs.ErrNotExist) { // the shop was stopped, and not killed
		return nil
	}
	path := filepath.Join(filepath.Dir(journal), "away.db-wal")
	if err == nil {
		err = os.WriteFile(path, log, 0o600)
	}
	if err != nil {
		return err
	}
	a := troupe(append(args[:len(args):len(args)], "--journal", journal)...)
	if a.Code == 0 || !strings.Contains(a.Err, "away.db-wal exists without") {
		err = fmt.Errorf("a split beside the log of another journal ends with exit code %d: %s", a.Code, a.Err)
	}
	_ = os.Remove(path) // a split that succeeded has removed the log
	return err
}
