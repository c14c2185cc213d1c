package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gofrs/flock"
)

// diary is the file of a World: one line of JSON per entry, only ever added to. A line is written with one call at the
// end of the last whole one. What a kill or a full disk leaves of it has no line end: it does not count, and the next line
// is written over it.
type diary struct {
	file *os.File
	lock *flock.Flock
	size int64 // of the whole lines in it
}

// lineStart is what every line begins with: a file whose last line begins otherwise is not cut, it is not a diary.
const lineStart = `{"kind":"`

// openDiary opens the file at path for this process alone and reads what is in it into s.
func openDiary(path string, s *state) (*diary, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("sim: lock %s: %w", lock.Path(), err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s: stop it, or name another file", ErrInUse, path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sim: open: %w", err), lock.Unlock())
	}
	d := &diary{file: f, lock: lock}
	if d.size, err = replay(f, path, s); err == nil {
		err = f.Truncate(d.size)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// replay reads whole lines into s and returns how many bytes they take.
func replay(r io.Reader, path string, s *state) (int64, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, fmt.Errorf("sim: read: %w", err)
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	whole, torn := text[:end], text[end:]
	if !bytes.HasPrefix(torn, []byte(lineStart[:min(len(torn), len(lineStart))])) {
		return 0, fmt.Errorf("%w: %s ends in what is no part of a call: is it another file?", ErrCorrupt, path)
	}
	n := 0
	for line := range bytes.Lines(whole) {
		n++
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("%w: %s line %d: %w", ErrCorrupt, path, n, err)
		}
		if k, ok := s.keys[e.Key]; e.Key == "" || ok && k.request != e.request {
			return 0, fmt.Errorf("%w: %s line %d: it is not a call of its key", ErrCorrupt, path, n)
		}
		s.apply(e)
	}
	return int64(len(whole)), nil
}

// write adds one entry. If it fails the entry does not count.
func (d *diary) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("sim: encode: %w", err)
	}
	n, err := d.file.WriteAt(append(line, '\n'), d.size)
	if err != nil {
		return fmt.Errorf("sim: write: %w", err)
	}
	d.size += int64(n)
	return nil
}

func (d *diary) close() error { return errors.Join(d.file.Close(), d.lock.Unlock()) }

// ReadLedger reads what the world at path has done, also while another process has it open.
func ReadLedger(path string) (Ledger, error) {
	f, err := os.Open(path)
	if err != nil {
		return Ledger{}, fmt.Errorf("sim: open: %w", err)
	}
	s := newState()
	if _, err := replay(f, path, &s); err != nil {
		return Ledger{}, errors.Join(err, f.Close())
	}
	return s.ledger(), f.Close()
}
