package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse: another process owns the journal for writing. Reading is always possible.
var ErrInUse = errors.New("sqlite: journal in use")

// holder is what the owner of a journal leaves in its lock file, for whoever finds it locked.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// ownership is the right to write a journal. The kernel takes it back when the process dies, however it dies.
type ownership struct{ file *flock.Flock }

const lockRetry = 20 * time.Millisecond

// own takes the journal's lock, or says who has it.
func own(path string) (*ownership, error) {
	f := flock.New(lockPath(path), flock.SetPermissions(0o644))
	// A process that was killed a moment ago, or somebody who only looks (Owned), gives it back at once.
	ctx, cancel := context.WithTimeout(context.Background(), 10*lockRetry)
	defer cancel()
	ok, err := f.TryLockContext(ctx, lockRetry)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("lock %s: %w", f.Path(), err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s: stop it, or name another journal", ErrInUse, describe(path))
	}
	me, err := json.Marshal(holder{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Since: time.Now().Truncate(time.Second)})
	if err == nil {
		err = os.WriteFile(f.Path(), me, 0o644)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", f.Path(), err), f.Unlock())
	}
	return &ownership{file: f}, nil
}

func (o *ownership) release() error { return o.file.Unlock() }

func lockPath(path string) string { return path + ".lock" }

// describe names the process that holds the journal at path.
func describe(path string) string {
	var h holder
	b, err := os.ReadFile(lockPath(path))
	if err != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 {
		return "held by another process"
	}
	return fmt.Sprintf("held by process %d (%s) since %s", h.PID, h.Command, h.Since.Format(time.DateTime))
}

// Owned reports whether a process holds the journal at path for writing, and describes it.
func Owned(path string) (bool, string) {
	if _, err := os.Stat(lockPath(path)); err != nil {
		return false, ""
	}
	f := flock.New(lockPath(path))
	ok, err := f.TryRLock()
	if err != nil || !ok {
		return true, describe(path)
	}
	_ = f.Unlock() // a shared lock on a file that nobody else uses
	return false, ""
}
