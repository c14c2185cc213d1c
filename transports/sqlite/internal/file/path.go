package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// Resolve returns the absolute path of the file at path, with every symbolic link followed. SQLite puts its own files
// beside the resolved file, and so must everyone else.
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
			return path, nil // CheckFile reports the problem of the folder
		}
		return filepath.Join(folder, filepath.Base(path)), nil
	case err != nil:
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, syscall.ELOOP) {
		return "", errors.New("its symbolic links form a loop: name the file itself")
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: it is a symbolic link to a file that does not exist: name that file itself to create it, or mend the link", err)
	}
	return real, err
}

// ResolveToOpen is Resolve with an error that names the path.
func ResolveToOpen(path string) (string, error) {
	real, err := Resolve(path)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	return real, nil
}

// CheckFile refuses, before SQLite opens the file, a path that cannot be a journal.
func CheckFile(path string) error {
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

// Create makes an empty file at path, for its owner alone, if there is no file. SQLite gives the files beside a
// database the permissions of the database.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close() // the only descriptor: closing it drops no lock of SQLite
}

// reserved matches the names of SQLite's own files beside a database: journal, log, index of the log, and
// super-journal.
var reserved = regexp.MustCompile(`(?i).-(journal|wal|shm|mj[0-9a-f]{8,9})$`)

// CheckName returns an error for a name that a journal cannot have: when SQLite opens the database with the name before
// the suffix, it deletes or overwrites the file.
func CheckName(path string) error {
	if reserved.MatchString(filepath.Base(path)) {
		return errors.New("SQLite gives such names to its own files, and deletes them: name another one")
	}
	return nil
}
