//go:build cgo

package workconn

// SQLite counts its memory under one lock for the whole process by default. Counting cost a publish and its reactions 4
// % of the processor, and the journal never reads the counts. The driver has no call for the setting. Its symbol is
// weak: the linker checks the package without the driver's C code.
//
// See https://www.sqlite.org/c3ref/c_config_covering_index_scan.html#sqliteconfigmemstatus.

/*
extern int sqlite3_config(int, ...) __attribute__((weak));

static int troupe_no_memstatus(void) {
	const int memstatus = 9; // SQLITE_CONFIG_MEMSTATUS
	return sqlite3_config ? sqlite3_config(memstatus, 0) : 0;
}
*/
import "C"

// init runs before the first database is opened. Later, SQLite refuses the setting.
func init() { C.troupe_no_memstatus() }
