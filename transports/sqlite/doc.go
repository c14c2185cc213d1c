// Package sqlite keeps a journal in one SQLite file: an append-only log of events, the outcome of every delivery, and
// the tables of the modules, so that one commit covers them all.
//
// A bus runs on a journal through journal.Journal. Plain Watermill code uses Publisher and Subscriber: a durable
// Pub/Sub with consumer groups, order and acknowledgements.
//
// One goroutine writes. All other goroutines queue work, and the writer commits the work in groups. Readers never wait
// for the writer. After a commit the writer wakes the readers of the written topics: no reader polls, except for a slow
// look for commits of other connections. With Synchronous full, the default, acknowledged work survives a power cut.
//
// Close stops deliveries first, then the writer. Running handlers get journal.ErrClosed, and their events are delivered
// again by the next process.
//
// The rooms are below internal: commit writes, on the connection of workconn and into the log of wal; reader reads;
// observer writes the journals of observers. internal/arch says which room may import which.
// Package sqlite is a seam: a minor version may change the package, and the changelog says how.
package sqlite

import _ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
