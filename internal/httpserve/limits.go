package httpserve

// Bounds are the limits of a server.
type Bounds struct {
	Connections int // of clients, at the same time
	Held        int // requests with an answer that takes long, such as streams
}

const (
	maxConnections = 8192 // a few kilobytes each
	otherFiles     = 96   // other open files: the journal, links to the other deployables
	minConnections = 16
)

// Limits returns bounds that leave the process enough files (ulimit -n), with 8192 connections at most. Half of the
// connections may be held.
func Limits() Bounds { return limits(openFiles()) }

func limits(files int) Bounds {
	n := max(minConnections, min(maxConnections, files-otherFiles-spare))
	return Bounds{Connections: n, Held: n / 2}
}
