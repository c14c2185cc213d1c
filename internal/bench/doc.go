// Package bench measures the price of durability: Troupe against the same work in memory, and against a program that
// writes the same rows without a bus. And the price of the wire between two deployables: Troupe against the same work
// straight on Kafka.
//
// # The flow
//
// All sides run the same flow. A publisher publishes an order, five reactions follow, and each reaction emits an
// event of about 200 bytes of JSON. There are 64 publishers, and each publishes the next order when Publish has
// returned. Each event is encoded once, and decoded once where a reaction consumes the event.
//
// # The sides
//
// Troupe: a journal with its defaults (Synchronous full), a bus, and the bus's Watermill Router without middleware. A
// flow leaves six rows of events, five of deliveries, and five of the domain through bus.Tx, with identity, order per
// key, correlation and causation. The time ends when all rows are on disk.
//
// GoChannel: Watermill's in-memory Pub/Sub under the same Router. A message carries its payload and a correlation id.
// GoChannel keeps no message, does not retry, and does not promise order. The time ends when the last handler
// returns. The buffer has the size that was fastest. GoChannel never makes a publisher wait: 64 publishers flood
// GoChannel, and so slow it down. So the comparison is repeated with a limit on the flows in flight, the same on both
// sides, at the value that was fastest for GoChannel.
//
// Bare SQLite: a single thread writes the same rows into the same tables with the same indexes, WAL and
// synchronous=FULL, through statements of the driver that are prepared once. Commits have groups of 64 reactions, and
// in a second comparison of 512, the most that a journal commits together. The payload is encoded beforehand, and
// never decoded.
//
// # How
//
// Every side of every round runs in a fresh process, on a fresh file. A tenth of the flows runs first as a warm-up,
// outside of the measured time. In a round all sides run in turn, and the order rotates from round to round. Ratios
// are taken within a round; the report has the median, the least and the greatest. After the measurement each process
// counts the rows that must exist: a side that lost rows is an error, not a number. A file system in memory makes
// every sync look cheap, so the report includes the cost of a sync.
//
// # The other measurements
//
// Latency: a single flow at a time, from the call of Publish until the last reaction is on disk. Once without a pause
// between flows, and once with a pause of 10 ms, in which the processor falls asleep and caches get cold.
//
// Idle: user and system time of a process whose bus runs on a journal and has no work.
//
// Grown: the bus fills a journal with a million events; then Troupe's side is measured on this journal and on an
// empty journal in turns. The grown journal keeps growing meanwhile. Opening is measured in a fresh process, with the
// file still in the system's cache, from the call of Open until a first flow is on disk with all reactions. Resident
// memory is the memory of the measured process, SQLite's included, when the last flow is on disk.
//
// # Over Kafka
//
// The transport "kafka" has measurements of its own, done in the same way: the sides take turns, in fresh processes,
// each with its own topics and groups. All topics are created beforehand with 6 partitions, and deleted at the end.
// All sides use the same broker. Without a named broker, a stand-in is started in a process of its own. The stand-in
// keeps all data in memory: its figures show the cost of the programs, not of Kafka.
//
// Flows. Troupe is two processes, each with a journal, a bus, and a transport, all with their defaults. Two of the
// five reactions get their event from the other deployable, as in the shop with order and notification split from the
// rest. A second comparison has four such reactions. In both, all six events of a flow are sent to Kafka, and also
// the records of their deliveries. The rows are the same as above, and the events that crossed are in both journals.
// The time ends when the last reactions are on disk and Kafka has acknowledged every event; records may still be in
// flight.
//
// watermill-kafka is a single process: its Publisher and its Subscribers under a Router, with a topic for each event
// type and a consumer group for each handler, so that all five hops go over Kafka. The Publisher waits for all
// replicas and is idempotent, as Troupe's transport is. The Subscribers start at the oldest offset, and commit
// offsets every second. The messages of a flow share a key, and are not compressed. The time ends when the last
// handler returns. watermill-kafka makes a round trip for each message of a partition, while Troupe sends and
// receives batches. On a busy machine round trips take longer, and the comparison flatters Troupe.
//
// Relay: a relay reads a journal that was filled before, with as many events as the flows have, and sends the events
// through the transport. The other side is sarama: a goroutine passes the same records, made beforehand, 500 at a
// time, with the same durability, idempotence, compression and partitioner.
//
// Ingest: an ingest reads a topic that was filled before into an empty journal. The other side is 64 publishers that
// publish single events into an empty journal, without a transport and without reactions. Each event is on disk when
// Publish returns.
//
// Latency: as above, in two deployables; and without a target, straight on watermill-kafka, until the last handler
// returns.
package bench
