//go:build !unix

package sqlite

import "io/fs"

// links is not known here.
func links(fs.FileInfo) uint64 { return 1 }

// fileNumber is not known here.
func fileNumber(fs.FileInfo) (n uint64, known bool) { return 0, false }
