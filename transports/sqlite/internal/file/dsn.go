package file

import (
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// cacheKiB bounds the page cache of each connection. The working set of a journal is the right-hand edge of its
// trees: measured, a larger cache made nothing faster.
const cacheKiB = 8 << 10

// DSN names the file with the pragmas in it. They belong there, and nowhere else: set on one connection of a pool they
// are missing on the next, and a name without its underscore is ignored without an error, so that Open reads them back.
func DSN(path string, params url.Values) string {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return "file:" + escaped + "?" + params.Encode()
}

// WriteDSN opens the file for the writer. keepStatements says that database/sql keeps prepared statements: SQLite asks an authorizer when
// a statement is prepared, so a kept statement passes unasked.
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

// ReadDSN opens the file for reading. The mode is "rw" where that is possible: the log needs its -shm file beside it
// even for reading.
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

// ActDSN is for a connection that writes beside the owner's. What it commits it makes durable itself.
func ActDSN(path string) string {
	return DSN(path, url.Values{
		"mode":          {"rw"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {"10000"},
		"_foreign_keys": {"1"},
	})
}
