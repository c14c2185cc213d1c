// Package disk runs a process on a disk that fails: full, slow, read-only, or with failing syncs or writes. The
// process is not modified. Before each system call that writes, the kernel asks the Disk (seccomp's user
// notification), whether SQLite's C code or the Go runtime makes the call. No privilege and no C compiler is needed.
// In the same way a process gets a Clock of its own.
//
// Package disk needs Linux 5.5 or later, on amd64 or arm64. Available returns the reason why it does not work
// elsewhere.
package disk

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Weather is the state of a disk.
type Weather string

// States of a disk. All states but Good affect only files below the disk's folder.
const (
	Good       Weather = ""
	Full       Weather = "full"        // files cannot grow, and no file can be created
	ReadOnly   Weather = "read-only"   // no file can be written, or opened for writing
	SyncFails  Weather = "sync-fails"  // syncs return an I/O error
	WriteFails Weather = "write-fails" // writes return an I/O error
	Slow       Weather = "slow"        // syncs take a tenth of a second, writes some milliseconds
)

// Weathers returns all states but Good.
func Weathers() []Weather { return []Weather{Full, ReadOnly, SyncFails, WriteFails, Slow} }

// Disk answers the system calls of the processes that were started on the Disk. Its methods are safe for concurrent
// use.
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

// Weather returns the present weather.
func (d *Disk) Weather() Weather {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.weather
}

// call is a system call of a process, before the kernel runs the call.
type call struct {
	kind   kind
	path   string // path of the file, or "" where unknown
	end    int64  // end of a write, or the new length of a truncate
	length int64  // length of the file, or -1 without a file
	writes bool   // an open for writing
	makes  bool   // an open that may create the file
}

type kind int

const (
	write kind = iota
	sync_
	truncate
	allocate
	open
	begin // start of a program
	clock
)

const (
	slowSync  = 100 * time.Millisecond
	slowWrite = 2 * time.Millisecond
)

// answer returns the error of c, and the time that c takes before.
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
		if c.kind == sync_ { // a file system that became read-only has no unsynced data
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
