package dbfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite"
)

// A part is a file under construction. Its name ends with the id of its move, so that it is nobody else's. A killed move leaves its
// part behind, which is garbage: the next run removes it.

// errExists: see ErrExists.
var ErrExists = errors.New("move: file exists")

const partMark = ".part-"

// partOf is where the move called id builds the file at path.
func PartOf(path, id string) string { return path + partMark + id }

var (
	PartName = regexp.MustCompile(`^(.+)\.part-[0-9a-f]{16}$`)
	CopyName = regexp.MustCompile(`^(.+)\.before-([0-9a-f]{16})$`)
	// ownName matches the names of what lies beside a journal.
	ownName = regexp.MustCompile(`\.(lock|world|part-[0-9a-f]{16}|before-[0-9a-f]{16})$`)
)

// checkName refuses a name for a journal that means something else: SQLite deletes or overwrites files of such names.
func CheckName(path string) error {
	if err := sqlite.CheckName(path); err != nil {
		return fmt.Errorf("move: %s: %w", path, err)
	}
	if ownName.MatchString(filepath.Base(path)) {
		return fmt.Errorf("move: %s: a file of such a name belongs to a journal, and is none: name another one", path)
	}
	return nil
}

// beside are the files that SQLite keeps beside a database.
func Beside(path string) []string { return []string{path + "-wal", path + "-shm", path + "-journal"} }

// checkBeside refuses a new database at path where files lie that SQLite would take for the database's.
func CheckBeside(path string) error {
	for _, name := range Beside(path) {
		if there, err := Exists(name); err != nil || there {
			return OrErrorf(err, "%w: %s is there without %s: SQLite would take it for a part of the new journal: move it away, or name another one",
				ErrExists, name, path)
		}
	}
	return nil
}

// sweep removes the parts that killed moves left of files at path. Whoever calls it has the lock of path.
func RemoveParts(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		if !isPartOf(e.Name(), filepath.Base(path)) {
			continue
		}
		part := filepath.Join(filepath.Dir(path), e.Name())
		if ours, err := IsJournal(part); err != nil || !ours {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, RemoveLocked(part))
	}
	return errors.Join(append(errs, err)...)
}

// isPartOf reports whether a file's name is that of a part of the journal called base, or of a copy of it.
func isPartOf(name, base string) bool {
	found := PartName.FindStringSubmatch(name)
	if found == nil {
		return false
	}
	of := found[1]
	if copied := CopyName.FindStringSubmatch(of); copied != nil {
		of = copied[1]
	}
	return of == base
}

// removeLocked removes a database that is closed, with all that lies beside it, and its lock file.
func RemoveLocked(path string) error {
	err := Remove(path)
	if lock := os.Remove(path + ".lock"); lock != nil && !errors.Is(lock, fs.ErrNotExist) {
		err = errors.Join(err, lock)
	}
	return err
}

// isOurs reports whether a file is a journal, or one of which nothing, or not yet the beginning, is written.
func IsJournal(path string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	head = head[:n]
	if len(bytes.Trim(head, "\x00")) == 0 {
		return true, nil
	}
	if n < 100 || !strings.HasPrefix(string(head), "SQLite format 3\x00") {
		return false, nil
	}
	field := func(at int) uint32 { return binary.BigEndian.Uint32(head[at:]) }
	return field(headerApplication) == applicationID || field(headerApplication) == 0 && field(headerPages) <= 1 && field(headerSchema) == 0, nil
}

// applicationID is that of a journal. It is written after the first page, which has the log's mode, so that a file of one page
// without a schema may be the beginning of a journal, too.
const applicationID = 0x54727065

// Offsets in the header of an SQLite file (https://www.sqlite.org/fileformat2.html, section 1.3).
const (
	headerPages       = 28
	headerSchema      = 40 // the schema cookie: 0 before the first table
	headerApplication = 68
)

// likeness gives the file at path the permissions of the one at from.
func CopyMode(from, path string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm())
}

// private makes an empty file at path that only its owner may read. It is an error when there is one.
func CreatePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// size is how many bytes a database has, with what SQLite keeps beside it.
func Size(path string) (n int64) {
	for _, name := range append(Beside(path), path) {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}
