package file

import (
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// cacheKiB bounds the page cache of each connection. The working set of a journal is the right-hand edge of the
// B-trees: measured, a larger cache made nothing faster.
const cacheKiB = 8 << 10

// DSN returns the name of the file with pragmas. Set on one connection of a pool, pragmas would be missing on the next.
// SQLite ignores an unknown name, such as one without the underscore, without an error: Open reads the pragmas back.
func DSN(path string, params url.Values) string {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return "file:" + escaped + "?" + params.Encode()
}

// WriteDSN opens the file for the writer. keepStatements lets the driver keep prepared statements. SQLite asks an
// authorizer only when a statement is prepared, so a reused statement passes unasked.
func WriteDSN(path, synchronous string, busyTimeout time.Duration, keepStatements bool) string {
	v := url.Values{
		"_synchronous":  {synchronous},
		"_txlock":       {"immediate"},
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)},
		"_foreign_keys": {"1"},
		"_cache_size":   {strconv.Itoa(-cacheKiB)},
	}
	if keepStatements {
		v.Set("_stmt_cache_size", "256")
	}
	return DSN(path, v)
}

// ReadMode returns the mode in which a reader beside the owner opens the file at path. When the last connection is
// closed, SQLite copies the log into the database and removes the log, except for a connection in mode "ro". Such a
// connection removes no empty log either, so it is not for a file without a log.
func ReadMode(path string) string {
	if HasLog(path) {
		return "ro"
	}
	return "rw"
}

// ReadDSN opens the file for reading. The mode of the owner is "rw", that of others ReadMode.
func ReadDSN(path, mode string) string {
	return DSN(path, ReadParams(mode))
}

// ReadParams returns the settings of a connection that only reads.
func ReadParams(mode string) url.Values {
	return url.Values{
		"mode":             {mode},
		"_query_only":      {"1"},
		"_txlock":          {"deferred"},
		"_busy_timeout":    {"5000"},
		"_cache_size":      {strconv.Itoa(-cacheKiB / 4)},
		"_stmt_cache_size": {"64"},
	}
}

// ActDSN is for a connection that writes beside the owner, and makes its own commits durable.
func ActDSN(path string) string {
	return DSN(path, url.Values{
		"mode":          {"rw"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {"10000"},
		"_foreign_keys": {"1"},
	})
}
