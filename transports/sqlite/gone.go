package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
)

// ErrGone: the journal's file was moved, removed or replaced while the journal was in use. It comes with
// journal.ErrUnknown for work that was committed before that was found, and with journal.ErrUnavailable for all other
// work. The journal acknowledges nothing more until the program starts again on the right file.
var ErrGone = errors.New("sqlite: the journal's file is gone")

// lookAtFiles reports whether the journal's files were moved, removed or replaced: nothing is acknowledged from then
// on.
func (j *Journal) lookAtFiles() (gone bool) {
	err := cmp.Or(j.site.check(), j.sync.reason())
	if !errors.Is(err, ErrGone) {
		return false
	}
	j.sync.fail(err)
	if j.gone.Swap(true) {
		return true
	}
	j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "the journal's file is gone: nothing is acknowledged any more", slog.Any("error", err))
	return true
}

// site is where the files of an open journal are, and which files those were when it was opened.
type site struct{ files []sited }

type sited struct {
	path string
	info fs.FileInfo
}

// locate notes which files the journal at path consists of. SQLite has opened them.
func locate(path string) (*site, error) {
	s := &site{}
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Lstat(path + end)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, sited{path + end, info})
	}
	return s, nil
}

// check returns an error when one of the files is no longer at its path. What is written then, nobody will find.
func (s *site) check() error {
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
