//go:build !unix

package file

import "io/fs"

// links is not known here.
func links(fs.FileInfo) uint64 { return 1 }

// FileNumber is not known here.
func FileNumber(fs.FileInfo) (n uint64, known bool) { return 0, false }
