//go:build !linux && !darwin

package file

import "io/fs"

// This system has no lock on a file that works beside SQLite's own locks, or needs none: Windows does not let a program
// move or remove an open file.

func lockOpened(fs.FileInfo) (unlock func() error, ok bool, err error) { return nil, true, nil }

func lockClosed(string) (unlock func() error, ok bool, err error) { return nil, true, nil }
