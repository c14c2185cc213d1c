package sqlite

import (
	"errors"
	"path/filepath"
	"regexp"
)

// reserved matches the names that SQLite gives to its own files beside a database: a journal, a log, its index, and a super-journal.
var reserved = regexp.MustCompile(`(?i).-(journal|wal|shm|mj[0-9a-f]{8,9})$`)

// CheckName returns an error for a path under which no journal can be: SQLite deletes or overwrites files of such names when it opens
// the database that they seem to belong to.
func CheckName(path string) error {
	if reserved.MatchString(filepath.Base(path)) {
		return errors.New("SQLite gives such names to its own files, and deletes them: name another one")
	}
	return nil
}
