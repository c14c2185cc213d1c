// Package bench measures what durability costs: Troupe against the same work in memory, and against the same rows
// written with no bus at all.
//
// # The flow
//
// All sides do one choreography: an order is published, five reactions follow one another, and each of them emits one
// event of about 200 bytes of JSON. 64 publishers publish, each its next order when its last Publish has returned. Each
// event is encoded once and, where there is a reaction to it, decoded once.
//
// # The sides
//
// Troupe: a journal with its defaults (Synchronous full), a bus, its Watermill Router without middleware. A flow leaves
// six rows of events, five of deliveries, and five of the domain's through bus.Tx, with identity, order per key,
// correlation and causation. The time ends when all of that is on disk.
//
// GoChannel: Watermill's in-memory Pub/Sub under the same Router. A message carries its payload and a correlation id;
// nothing is kept, nothing is tried again, order is not promised. The time ends when the last handler returns. Its
// buffer is the size it was fastest with. GoChannel never makes a publisher wait: 64 of them flood it, which slows it
// down. So the comparison is made a second time, with a limit on the flows under way, on both sides, that GoChannel was
// fastest with.
//
// Bare SQLite: one thread writes the same rows into the same tables with the same indexes, WAL and synchronous=FULL,
// through statements of the driver that are prepared once, in groups of 64 reactions, and once more in groups of 512,
// which is how many a journal commits together at most. It has its payload encoded beforehand and decodes nothing.
//
// # How
//
// Every side of every round runs in a fresh process, on a fresh file, and is warmed up with a tenth of its flows,
// outside of the time. In a round all sides run one after another, in an order that rotates from round to round; a
// ratio is that of one round, and the report has the median, the least and the greatest. Afterwards each process counts
// what it should have left behind: a side that lost something is an error, not a number. A file system that keeps its
// files in memory flatters everything that syncs, so the report says what a sync costs.
//
// # The other measurements
//
// Latency: one flow at a time, from the call of Publish until its last reaction is on disk; with no pause between
// flows, and with one of 10 ms, in which the processor falls asleep and what is cached cools down.
//
// Idle: user and system time of a process whose bus runs on a journal and has nothing to do.
//
// Grown: the bus itself fills a journal with a million events; then Troupe's side is measured on it and on an empty one
// in turns. It keeps growing meanwhile. Opening is measured in a fresh process, with the file still in the system's
// cache, from the call of Open until a first flow, with all of its reactions, is on disk. Resident memory is that of
// the process that was measured, SQLite's included, when its last flow is on disk.
package bench
