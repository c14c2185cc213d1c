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

// diary is the append-only file of a World, with a line of JSON for each entry. One call writes a line, after the
// last complete line. A kill or a full disk can leave a part of a line, without a line end: such a part does not
// count, and the next line overwrites it.
type diary struct {
	file *os.File
	lock *flock.Flock
	size int64 // of the complete lines
}

// lineStart is the start of every line. A file with another start in the last line is not cut, because the file is
// not a diary.
const lineStart = `{"kind":"`

// openDiary opens the file at path for this process alone, and reads the entries into s.
func openDiary(path string, s *state) (*diary, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("sim: lock %s: %w", lock.Path(), err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s: stop that process, or choose another file", ErrInUse, path)
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

// replay reads complete lines into s, and returns their size in bytes.
func replay(r io.Reader, path string, s *state) (int64, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, fmt.Errorf("sim: read: %w", err)
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	whole, torn := text[:end], text[end:]
	if !bytes.HasPrefix(torn, []byte(lineStart[:min(len(torn), len(lineStart))])) {
		return 0, fmt.Errorf("%w: %s does not end with a part of a call: is it another file?", ErrCorrupt, path)
	}
	n := 0
	for line := range bytes.Lines(whole) {
		n++
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("%w: %s line %d: %w", ErrCorrupt, path, n, err)
		}
		if k, ok := s.keys[e.Key]; e.Key == "" || ok && k.request != e.request {
			return 0, fmt.Errorf("%w: %s line %d: the key is empty or belongs to another request", ErrCorrupt, path, n)
		}
		s.apply(e)
	}
	return int64(len(whole)), nil
}

// write adds an entry. After an error the entry does not count.
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

// ReadLedger returns the ledger of the world at path, also while another process has the world open.
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
