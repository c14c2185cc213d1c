package sqlite

import (
	"strings"
	"syscall"
	"testing"

	"github.com/mattn/go-sqlite3"
)

func TestAnErrorOfAFullDiskSaysSo(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "free some space", syscall.EIO: "check the system's log",
		syscall.EDQUOT: "check quota", syscall.EFBIG: "ulimit -f",
	} {
		if got := explain(sqlite3.Error{Code: sqlite3.ErrIoErr, SystemErrno: errno}).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not say %q", errno, got, want)
		}
	}
}
