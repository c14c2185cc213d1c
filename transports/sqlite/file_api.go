package sqlite

import "github.com/troupebus/troupe/transports/sqlite/internal/file"

// CheckName returns an error for a path under which no journal can be: SQLite deletes or overwrites files of such names when it opens
// the database that they seem to belong to.
func CheckName(path string) error { return file.CheckName(path) }

// Resolve returns the absolute path of the file that path names, with every symbolic link followed: SQLite puts its own files beside
// that one, and so must everything else that belongs to the journal.
func Resolve(path string) (string, error) { return file.Resolve(path) }

// Owned reports whether a process holds the journal at path for writing, and describes the process.
func Owned(path string) (bool, string) { return file.Owned(path) }

// Lock takes the journal at path for work on its file as a whole, as Open takes it for writing: with an ErrInUse while a process has
// it. release gives the journal back, when this process has closed the file.
func Lock(path string) (release func() error, err error) { return file.Lock(path) }
