// Package disk puts a process on a disk that fails: full, slow, read-only, or with syncs or writes that fail. Nothing of the
// process changes. The kernel asks the Disk before it carries out a system call that writes (seccomp's user notification),
// whether SQLite in C makes the call or the Go runtime, so that no privilege and no C compiler is needed. In the same way a process
// gets a Clock of its own.
//
// It works on Linux 5.5 and later, on amd64 and arm64. Available says why it does not work elsewhere.
package disk

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Weather is how a disk is at an instant.
type Weather string

// The weathers of a disk. All but Good fail only for files below the disk's folder.
const (
	Good       Weather = ""
	Full       Weather = "full"        // files cannot be made longer, and none can be made
	ReadOnly   Weather = "read-only"   // nothing can be written, or opened for writing
	SyncFails  Weather = "sync-fails"  // syncs are answered with an I/O error
	WriteFails Weather = "write-fails" // writes are answered with an I/O error
	Slow       Weather = "slow"        // syncs take a tenth of a second, writes some milliseconds
)

// Weathers returns all that are not Good.
func Weathers() []Weather { return []Weather{Full, ReadOnly, SyncFails, WriteFails, Slow} }

// Disk decides for the processes that were started on it. Its methods are safe for concurrent use.
type Disk struct {
	folder string // with all links resolved

	mu      sync.Mutex
	weather Weather
}

// New returns a Disk in Good weather, for the files below folder, which must exist.
func New(folder string) (*Disk, error) {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	return &Disk{folder: real + string(filepath.Separator)}, nil
}

// Set changes the weather.
func (d *Disk) Set(w Weather) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.weather = w
}

// Weather returns how the disk is now.
func (d *Disk) Weather() Weather {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.weather
}

// call is a system call that a process is about to make.
type call struct {
	kind   kind
	path   string // of the file, or "" where it is unknown
	end    int64  // of what a write touches, or the length that a file is cut to
	length int64  // of the file, -1 when there is none
	writes bool   // an open that may write
	makes  bool   // an open that may make a file
}

type kind int

const (
	write kind = iota
	sync_
	truncate
	allocate
	open
	begin // of a program
	clock
)

const (
	slowSync  = 100 * time.Millisecond
	slowWrite = 2 * time.Millisecond
)

// answer says whether c fails, and how long it takes before.
func (d *Disk) answer(w Weather, c call) (time.Duration, syscall.Errno) {
	if !strings.HasPrefix(c.path, d.folder) {
		return 0, 0
	}
	switch w {
	case Full:
		longer := c.kind == write && c.end > c.length || c.kind == allocate || c.kind == open && c.makes && c.length < 0
		if longer {
			return 0, syscall.ENOSPC
		}
	case ReadOnly:
		if c.kind == open && !c.writes && !c.makes || c.kind == open && c.makes && !c.writes && c.length >= 0 {
			return 0, 0
		}
		if c.kind == sync_ { // a file system that was turned read-only has nothing left to sync
			return 0, 0
		}
		return 0, syscall.EROFS
	case SyncFails:
		if c.kind == sync_ {
			return 0, syscall.EIO
		}
	case WriteFails:
		if c.kind == write || c.kind == allocate {
			return 0, syscall.EIO
		}
	case Slow:
		switch c.kind {
		case sync_:
			return slowSync, 0
		case write:
			return slowWrite, 0
		}
	}
	return 0, 0
}
