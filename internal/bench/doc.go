// Package bench measures what durability costs: Troupe against the same work in memory, and against the same rows
// written with no bus at all. And what the wire between two deployables costs: against the same work straight on Kafka.
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
//
// # Over Kafka
//
// With the transport "kafka" other things are measured, in the same way: what is compared takes turns, in fresh processes,
// each on topics and under groups of its own, which are made beforehand, all with 6 partitions, and removed at the end. The
// broker is one for all of it. A stand-in, which is started where no broker is named, has a process of its own and keeps
// everything in memory: its figures show what the programs cost, not what Kafka does.
//
// Flows. Troupe is two processes, each with a journal, a bus, and a transport, all with their defaults. Of the five reactions
// two get their event from the other deployable, as in the shop when order and notification are split off from the
// rest; and once more, four. Either way all six events of a flow are sent to Kafka, and so are the records of its deliveries.
// What is left behind is as above, and the events that crossed are in both journals. The time ends when the last reactions
// are on disk and Kafka has acknowledged every event; records may still be under way.
//
// watermill-kafka is one process: its Publisher and its Subscribers under a Router, with a topic for each type of event and
// a consumer group for each handler, so that all five hops go over Kafka. It waits for all replicas and is idempotent, as
// Troupe's transport is, starts at the oldest offset, and commits offsets by itself every second. A flow's messages share
// a key. It does not compress. The time ends when the last handler returns. It makes a round trip for each message of
// a partition, where Troupe sends and takes in what has gathered: on a machine that is busy with other things round trips get
// longer, and the comparison flatters Troupe.
//
// Relay: a journal that was filled before with as many events as the flows have, read and sent by a relay through the
// transport. Against sarama, which one goroutine hands the same records, made beforehand, 500 at a time: durable,
// idempotent, with the same compression and partitioner.
//
// Ingest: a topic that was filled before, taken in by an ingest, into an empty journal. Against single events that 64 publishers
// publish into an empty journal, each on disk when its Publish returns, with no transport and nobody who reacts.
//
// Latency: as above, in two deployables; and without a target, straight on watermill-kafka, until the last handler returns.
package bench
