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

// A part is a file under construction. Its name ends with the id of its move, so no other move uses the file. The part
// of a killed move is garbage: the next run removes the part.

// ErrExists is ErrExists of package move.
var ErrExists = errors.New("move: file exists")

const partMark = ".part-"

// PartOf returns the path where the move id builds the file for path.
func PartOf(path, id string) string { return path + partMark + id }

var (
	// PartName matches the names of parts.
	PartName = regexp.MustCompile(`^(.+)\.part-[0-9a-f]{16}$`)
	// CopyName matches the names of copies of a journal.
	CopyName = regexp.MustCompile(`^(.+)\.before-([0-9a-f]{16})$`)
	// ownName matches the names of the files that belong to a journal.
	ownName = regexp.MustCompile(`\.(lock|world|part-[0-9a-f]{16}|before-[0-9a-f]{16})$`)
)

// CheckName refuses a name for a journal that has another meaning: SQLite deletes or overwrites files with such names.
func CheckName(path string) error {
	if err := sqlite.CheckName(path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if ownName.MatchString(filepath.Base(path)) {
		return fmt.Errorf("move: %s: this is the name of a file that belongs to a journal: name another one", path)
	}
	return nil
}

// Beside returns the paths of the files that SQLite keeps beside the database at path.
func Beside(path string) []string { return []string{path + "-wal", path + "-shm", path + "-journal"} }

// CheckBeside returns an error when SQLite would take an existing file for a part of the new database at path.
func CheckBeside(path string) error {
	for _, name := range Beside(path) {
		if found, err := Exists(name); err != nil || found {
			return OrErrorf(err, "%w: %s exists without %s, and SQLite would use it for the new journal: move it away, or name another journal",
				ErrExists, name, path)
		}
	}
	return nil
}

// RemoveParts removes the parts of killed moves for the file at path. The caller holds the lock of path.
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
		if isJournal, err := IsJournal(part); err != nil || !isJournal {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, RemoveLocked(part))
	}
	return errors.Join(append(errs, err)...)
}

// isPartOf reports whether name is the name of a part for the journal base, or for a copy of that journal.
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

// RemoveLocked removes a closed database, the files beside it, and its lock file.
func RemoveLocked(path string) error {
	err := Remove(path)
	if lock := os.Remove(path + ".lock"); lock != nil && !errors.Is(lock, fs.ErrNotExist) {
		err = errors.Join(err, lock)
	}
	return err
}

// IsJournal reports whether the file at path is a journal, or the beginning of a journal: a file without content, or
// with zeros or the first page only.
func IsJournal(path string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
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
	application, pages, schema := field(headerApplication), field(headerPages), field(headerSchema)
	return application == applicationID || application == 0 && pages <= 1 && schema == 0, nil
}

// applicationID is the application id of a journal. SQLite writes it after the first page, which has the mode of the
// log. So a file with a single page and no schema may be the beginning of a journal, too.
const applicationID = 0x54727065

// Offsets in the header of an SQLite file (https://www.sqlite.org/fileformat2.html, section 1.3).
const (
	headerPages       = 28
	headerSchema      = 40 // schema cookie: 0 before the first table
	headerApplication = 68
)

// CopyMode gives the file at path the permissions of the file at from.
func CopyMode(from, path string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm())
}

// CreatePrivate creates an empty file at path that only its owner may read. An existing file is an error.
func CreatePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Size returns the bytes of a database with the files that SQLite keeps beside it.
func Size(path string) (n int64) {
	for _, name := range append(Beside(path), path) {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}
