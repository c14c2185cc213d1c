package dbfile

import (
	"errors"
	"fmt"
	"path/filepath"
)

// ErrSpace is ErrSpace of package move.
var ErrSpace = errors.New("move: not enough room on the disk")

// spare is the number of bytes that must stay free beside the expected writes.
const spare = 16 << 20

// CheckSpace returns ErrSpace when the disks lack space for the largest possible writes of a move of the journal at
// path: a log of the size of the journal, a new journal at to ("" for none), and, with backup, a copy of the old
// journal.
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
			copies := ""
			if backup {
				copies = ", or make no copy of the journal"
			}
			return fmt.Errorf("%w: %s has %d MiB, and the move needs up to %d MiB: free space, or move the journal to a larger disk%s",
				ErrSpace, folder, bytes>>20, (used[device]+1<<20-1)>>20, copies)
		}
	}
	return nil
}
