package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrGone: the journal's file was moved, removed or replaced while the journal was in use. It comes with
// journal.ErrUnknown for work that was committed before that was found, and with journal.ErrUnavailable for all other
// work. The journal acknowledges nothing more until the program starts again on the right file.
var ErrGone = errors.New("sqlite: the journal's file is gone")

// Site is where the files of an open journal are, and which files those were when it was opened.
type Site struct{ files []sited }

type sited struct {
	path string
	info fs.FileInfo
}

// Locate notes which files the journal at path consists of. SQLite has opened them.
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

// Check returns an error when one of the files is no longer at its path. What is written then, nobody will find.
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
			continue // a folder that cannot be read for a moment is not a file that is gone
		}
		return fmt.Errorf("%w: %s: %w: stop the program, put the right files back (%s and those beside it), and start again",
			ErrGone, f.path, err, s.files[0].path)
	}
	return nil
}
