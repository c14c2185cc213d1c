package moves

import (
	"errors"
	"fmt"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

func TestHintOfSpace(t *testing.T) {
	t.Parallel()
	for noBackup, want := range map[bool]string{false: "; --no-backup makes no copy", true: ""} {
		full := fmt.Errorf("%w: free space", move.ErrSpace)
		err := hinted(nil, &move.Options{NoBackup: noBackup}, full)
		if !errors.Is(err, move.ErrSpace) || err.Error() != full.Error()+want {
			t.Errorf("without a copy %t, the error is %q, want %q at its end", noBackup, err, want)
		}
	}
}
