package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrInUse: another process owns the journal for writing. Reading is always possible.
var ErrInUse = errors.New("sqlite: journal in use")

// holder describes the owner of a journal. The owner writes it into the lock file, for processes that find the lock
// taken.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Making  bool      `json:"making,omitempty"` // the journal has no tables yet
}

// Ownership is the right to write a journal. The kernel takes the right back when the process dies.
//
// Ownership has two parts. The lock file beside the journal names the owner. The lock on the database file itself works
// under any name of the file, and when the lock file was removed.
type Ownership struct {
	lock   *lockFile
	Making bool         // the journal has no tables yet
	file   fs.FileInfo  // the database file, once owned
	unlock func() error // gives the lock on the database file back; nil without a lock
}

const (
	lockRetry = 20 * time.Millisecond
	lockTries = 10
)

// patiently tries to lock. A process that was just killed, or that calls Owned, releases a lock at once.
func patiently(try func() (bool, error)) (bool, error) {
	for n := 1; ; n++ {
		if ok, err := try(); ok || err != nil || n == lockTries {
			return ok, err
		}
		<-time.After(lockRetry)
	}
}

// Own takes the lock file of the journal at path, a resolved path, or returns an ErrInUse that names the owner.
func Own(path string) (*Ownership, error) {
	f, err := openLock(lockPath(path), true)
	if err != nil {
		return nil, fmt.Errorf("lock file %s: %w", lockPath(path), err)
	}
	ok, err := patiently(func() (bool, error) { return f.try(true) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", lockPath(path), err), f.close())
	}
	if !ok {
		return nil, errors.Join(fmt.Errorf("%w: %s: stop it, or name another journal", ErrInUse, f.describe()), f.close())
	}
	return &Ownership{lock: f, Making: f.holder().Making}, nil
}

// Sign writes into the lock file a description of the owner, and whether the journal is being made.
func (o *Ownership) Sign() error {
	me, err := json.Marshal(holder{
		PID: os.Getpid(), Command: strings.Join(os.Args, " "), Since: time.Now().Truncate(time.Second), Making: o.Making,
	})
	if err == nil {
		err = o.lock.write(me)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", o.lock.path, err)
	}
	return nil
}

// owned are the files that this process owns: the kernel's lock does not distinguish two owners in one process.
var owned struct {
	mu    sync.Mutex
	files []fs.FileInfo
}

// ours records that this process owns a file. It reports false when the process owned the file before.
func (o *Ownership) ours(info fs.FileInfo) bool {
	owned.mu.Lock()
	defer owned.mu.Unlock()
	if slices.ContainsFunc(owned.files, func(f fs.FileInfo) bool { return os.SameFile(f, info) }) {
		return false
	}
	owned.files = append(owned.files, info)
	o.file = info
	return true
}

// HoldFile takes the lock on the database file, which SQLite has open in this process. An ErrInUse means that an owner
// has the file under another name, or that the lock file was removed.
func (o *Ownership) HoldFile(info fs.FileInfo) error {
	if !o.ours(info) {
		return errOtherName()
	}
	unlock, ok, err := lockOpened(info)
	if err == nil && !ok {
		err = errOtherName()
	}
	o.unlock = unlock
	return err
}

// holdWhole takes the lock on a file that is not open in this process and is closed again before the lock is given
// back. The file may be missing.
func (o *Ownership) holdWhole(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !o.ours(info) {
		return errOtherName()
	}
	unlock, ok, err := lockClosed(path)
	if err == nil && !ok {
		err = errOtherName()
	}
	o.unlock = unlock
	return err
}

func errOtherName() error {
	return fmt.Errorf("%w: a process owns this file under another name, or its lock file was removed: find the process (fuser, lsof), and stop it", ErrInUse)
}

// ReleaseFile gives the lock on the database file back, before SQLite closes the descriptor with the lock.
func (o *Ownership) ReleaseFile() error {
	owned.mu.Lock()
	owned.files = slices.DeleteFunc(owned.files, func(f fs.FileInfo) bool { return f == o.file })
	owned.mu.Unlock()
	unlock := o.unlock
	o.unlock, o.file = nil, nil
	if unlock == nil {
		return nil
	}
	return unlock()
}

// Release gives the journal back.
func (o *Ownership) Release() error { return errors.Join(o.ReleaseFile(), o.lock.close()) }

func lockPath(path string) string { return path + ".lock" }

func (f *lockFile) holder() (h holder) {
	b, err := f.read()
	if err != nil || json.Unmarshal(b, &h) != nil {
		return holder{}
	}
	return h
}

// describe names the process with the lock.
func (f *lockFile) describe() string {
	h := f.holder()
	if h.PID == 0 {
		return "held by another process"
	}
	return fmt.Sprintf("held by process %d (%s) since %s", h.PID, h.Command, h.Since.Format(time.DateTime))
}

// Owned reports whether a process holds the journal at path for writing, and describes it.
func Owned(path string) (bool, string) {
	path, err := Resolve(path)
	if err != nil {
		return false, ""
	}
	f, err := openLock(lockPath(path), false)
	if errors.Is(err, fs.ErrNotExist) {
		return false, ""
	}
	if err != nil {
		return true, fmt.Sprintf("maybe held by a process: %v", err)
	}
	defer func() { _ = f.close() }() // a shared lock on a file without an owner
	if ok, err := f.try(false); err != nil || !ok {
		return true, f.describe()
	}
	return false, ""
}

// Lock takes the journal at path for work on the file as a whole, with the same lock as Open: a process that has the
// journal causes an ErrInUse. Call release after this process has closed the file.
func Lock(path string) (release func() error, err error) {
	if path, err = Resolve(path); err != nil {
		return nil, err
	}
	if err := CheckFile(path); err != nil {
		return nil, err
	}
	o, err := Own(path)
	if err != nil {
		return nil, err
	}
	if err = o.holdWhole(path); err == nil {
		err = o.Sign()
	}
	if err != nil {
		return nil, errors.Join(err, o.Release())
	}
	return o.Release, nil
}
