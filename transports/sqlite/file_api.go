package sqlite

import "github.com/troupebus/troupe/transports/sqlite/internal/file"

// CheckName returns an error for a name that a journal cannot have: when SQLite opens the database with the name before
// the suffix, it deletes or overwrites the file.
func CheckName(path string) error { return file.CheckName(path) }

// Resolve returns the absolute path of the file at path, with every symbolic link followed. SQLite puts its own files
// beside the resolved file, and so must everyone else.
func Resolve(path string) (string, error) { return file.Resolve(path) }

// Owned reports whether a process holds the journal at path for writing, and describes it.
func Owned(path string) (bool, string) { return file.Owned(path) }

// Lock takes the journal at path for work on the file as a whole, with the same lock as Open: a process that has the
// journal causes an ErrInUse. Call release after this process has closed the file.
func Lock(path string) (release func() error, err error) { return file.Lock(path) }
