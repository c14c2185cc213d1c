package torture

import (
	"testing"

	"github.com/troupebus/troupe/internal/torture/disk"
)

// A computer on which disks can fail can also step clocks: no fault is left out silently.
func TestClocksCanBeStepped(t *testing.T) {
	t.Parallel()
	if err := disk.Available(); err != nil {
		t.Skip(err)
	}
	m := MustBuild(t)
	if m.noClock != nil {
		t.Error(m.noClock)
	}
}
