package dbfile

import (
	"errors"
	"fmt"
	"path/filepath"
)

// errSpace: see ErrSpace.
var ErrSpace = errors.New("move: not enough room on the disk")

// spare is what is left free beside what is expected to be written.
const spare = 16 << 20

// checkRoom makes sure that there is room for what a move of the journal at path writes at most: the log of the change, as
// large as the journal, a new journal at to, and a copy of the old one. to may be "", for none.
func CheckSpace(path, to string, backup bool) error {
	size := uint64(Size(path))
	needs := map[string]uint64{filepath.Dir(path): size + spare}
	if backup {
		needs[filepath.Dir(path)] += size
	}
	if to != "" {
		needs[filepath.Dir(to)] += size
	}
	free, used := map[uint64]uint64{}, map[uint64]uint64{}
	for folder, need := range needs {
		bytes, device, known := space(folder)
		if !known {
			continue
		}
		free[device] = bytes
		used[device] += need
		if used[device] > bytes {
			return fmt.Errorf("%w: %s has %d MiB, and up to %d MiB are needed: free some, move the journal to a larger disk, or leave out the copy (--no-backup)",
				ErrSpace, folder, bytes>>20, (used[device]+1<<20-1)>>20)
		}
	}
	return nil
}
