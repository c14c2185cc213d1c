//go:build !linux && !darwin

package file

import "io/fs"

// This system has no lock on a file that would not stand in the way of SQLite's own, or needs none: Windows does not
// let a file be moved or removed while it is open.

func lockOpened(fs.FileInfo) (unlock func() error, ok bool, err error) { return nil, true, nil }

func lockClosed(string) (unlock func() error, ok bool, err error) { return nil, true, nil }
