//go:build !unix

package file

import "io/fs"

// links is unknown on this system.
func links(fs.FileInfo) uint64 { return 1 }

// FileNumber is unknown on this system.
func FileNumber(fs.FileInfo) (n uint64, known bool) { return 0, false }
