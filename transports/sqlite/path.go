package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
)

// Resolve returns the absolute path of the file that path names, with every symbolic link on the way followed: SQLite
// puts its own files beside that one, and so must everything else that belongs to the journal.
func Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	_, err = os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return path, nil // checkFile says what is wrong with the folder
		}
		return filepath.Join(folder, filepath.Base(path)), nil
	case err != nil:
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: it is a symbolic link to a file that does not exist: name that file itself to create it, or mend the link", err)
	}
	return real, err
}

// checkFile refuses, before SQLite sees it, a path that cannot be a journal.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
			return fmt.Errorf("its folder %s does not exist: create it, or name another path", filepath.Dir(path))
		}
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("it is a directory: name a file in it, such as %s", filepath.Join(path, "journal.db"))
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file: a journal needs one")
	case links(info) > 1:
		return fmt.Errorf("the file has %d names (hard links), and SQLite keeps a log of its own for each name: remove all names but one, or copy the file",
			links(info))
	default:
		return nil
	}
}

// create makes an empty file at path, for its owner alone, unless there is a file. SQLite gives the files that it
// puts beside a database the database's permissions.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close() // nobody else has opened it yet: closing it drops no lock of SQLite's
}

// makeFile makes the file where there is none, and notes in the lock that it is not a journal yet.
func (j *Journal) makeFile() error {
	info, err := os.Stat(j.path)
	switch {
	case err == nil && info.Size() > 0:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	j.lock.making = true
	if err := j.lock.sign(); err != nil {
		return err
	}
	return create(j.path)
}

// othersRead is the permission of users who are neither the owner nor of its group.
const othersRead = 0o004

// takeFile makes sure that this process alone writes the file that SQLite has opened.
func (j *Journal) takeFile() error {
	info, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	if err := j.lock.holdFile(info); err != nil {
		return err
	}
	if info.Mode().Perm()&othersRead != 0 {
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "every user of this machine may read the journal, and hold it up: chmod 600, or 640 for a group",
			slog.String("file", j.path))
	}
	return j.lock.sign()
}

// made notes that the journal has its tables, in the database file itself.
func (j *Journal) made() error {
	if !j.lock.making {
		return nil
	}
	j.lock.making = false
	return j.lock.sign()
}

// reserved matches the names that SQLite gives to its own files beside a database: a journal, a log, its index, and a
// super-journal.
var reserved = regexp.MustCompile(`(?i).-(journal|wal|shm|mj[0-9a-f]{8,9})$`)

// CheckName returns an error for a path under which no journal can be: SQLite deletes or overwrites files of such
// names when it opens the database that they seem to belong to.
func CheckName(path string) error {
	if reserved.MatchString(filepath.Base(path)) {
		return errors.New("SQLite gives such names to its own files, and deletes them: name another one")
	}
	return nil
}
