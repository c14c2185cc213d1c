package httpserve

import (
	"math"
	"syscall"
)

// Bounds are how many of something a server has at once.
type Bounds struct {
	Connections int // of clients
	Held        int // requests that are answered only after a while, such as streams
}

const (
	mostConnections = 8192 // a few kilobytes each
	otherFiles      = 96   // that the process has open beside them: the journal, links to the other deployables
	fewest          = 16
)

// Limits are bounds that leave the process the files that it needs beside its clients: by ulimit -n, and 8192 connections at most.
// Half of them may be held.
func Limits() Bounds {
	files := uint64(math.MaxInt32)
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		files = min(files, r.Cur)
	}
	return limits(int(files))
}

func limits(files int) Bounds {
	n := max(fewest, min(mostConnections, files-otherFiles-spare))
	return Bounds{Connections: n, Held: n / 2}
}
