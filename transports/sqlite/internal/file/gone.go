package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrGone: the journal's file was moved, removed or replaced while the journal was in use. Work that was committed
// before the discovery gets journal.ErrUnknown, too, and all other work journal.ErrUnavailable. The journal
// acknowledges nothing more until the program starts again on the right file.
var ErrGone = errors.New("sqlite: the journal's file is gone")

// Site is the set of files of an open journal, as they were when the journal was opened.
type Site struct{ files []sited }

type sited struct {
	path string
	info fs.FileInfo
}

// Locate returns the files of the journal at path, after SQLite has opened them.
func Locate(path string) (*Site, error) {
	s := &Site{}
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Lstat(path + end)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, sited{path + end, info})
	}
	return s, nil
}

// Check returns an error when a file is no longer at its path. Later writes to such a file are lost.
func (s *Site) Check() error {
	for _, f := range s.files {
		info, err := os.Lstat(f.path)
		switch {
		case err == nil && os.SameFile(info, f.info):
			continue
		case err == nil:
			err = errors.New("another file is in its place")
		case errors.Is(err, fs.ErrNotExist):
			err = errors.New("there is no file")
		default:
			continue // an unreadable folder does not mean that the file is gone
		}
		return fmt.Errorf("%w: %s: %w: stop the program, put the right files back (%s and those beside it), and start again",
			ErrGone, f.path, err, s.files[0].path)
	}
	return nil
}
