package row

import (
	"errors"
	"fmt"
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
		if got := Explain(sqlite3.Error{Code: sqlite3.ErrIoErr, SystemErrno: errno}).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not say %q", errno, got, want)
		}
	}
}

// TestExplainOnce: an error passes explain at several places on its way, and says what to do once.
func TestExplainOnce(t *testing.T) {
	t.Parallel()
	locked := Explain(sqlite3.Error{Code: sqlite3.ErrBusy})
	again := Explain(fmt.Errorf("begin: %w", locked))
	if got := again.Error(); strings.Count(got, "end its transaction") != 1 || !errors.As(again, new(sqlite3.Error)) {
		t.Errorf("explained twice: %q", got)
	}
}
