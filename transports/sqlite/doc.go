// Package sqlite keeps a journal in one SQLite file: an append-only log of events, who handled them and how, and
// whatever the modules store beside it, in one place, so that one commit covers all of it.
//
// It has two faces. A bus runs on it through journal.Journal. Plain Watermill code uses Publisher and Subscriber: a
// durable Pub/Sub with consumer groups, order and acknowledgements.
//
// One goroutine writes; everything else queues for it and is committed in groups. Readers never wait for it. After a
// commit it wakes those whose topics were written: nothing polls, except for a slow look at whether another connection
// has written. With Synchronous full, which is the default, what was acknowledged survives a power cut.
//
// Close stops deliveries first, then the writer. Handlers that are still running are answered with journal.ErrClosed,
// and their events are delivered again by the next process.
//
// It may import package bus and what is below it, Watermill, and SQLite's driver; no domain.
package sqlite

import _ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
