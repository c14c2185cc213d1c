// Package row reads and writes the rows of a journal: statements with their arguments, the columns of an event, times,
// and SQLite's errors with a hint.
package row

import _ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
