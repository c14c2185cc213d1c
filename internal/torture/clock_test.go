package torture

import (
	"testing"

	"github.com/troupebus/troupe/internal/torture/disk"
)

// Where disks can fail, clocks can be stepped: nothing is left out in silence.
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
