// Package kafka carries messages between deployables over Apache Kafka: wire.Transport on the requests of IBM's sarama, with
// records that programs on watermill-kafka read and write as well (Marshaler).
//
// A topic is called prefix.module. The record key is the event's key, placed as Java's clients place it, and the headers are
// the metadata: CloudEvents in binary content mode. A topic that is missing is made.
//
// Publish is idempotent and waits for all replicas in sync. Each topic has a lane (publish.go) on which calls that come at
// the same time travel together, and a producer (produce.go), which is thrown away with its numbers when anything fails. Of a
// partition it never sends a batch before the last one is acknowledged: whatever is sent again, keys stay in order.
//
// Subscribe reads all partitions without being a member of a consumer group (subscribe.go says why); only the place is kept
// as a group's. Each broker that leads partitions has a fetcher (fetch.go), each partition a goroutine that delivers and
// waits for acknowledgements (partition.go), each subscription one that commits (offsets.go). What a fetcher cannot read for
// longer than a few seconds ends the subscription; where brokers answer, but slowly, a few become thirty (patience.go). Sarama
// would unpack whole answers: so the connection keeps those back (conn.go, answer.go), and a partition unpacks its batches record by
// record, as messages are taken (unpack.go, budget.go).
//
// Connections are few: all subscriptions share a client for everything but fetching (common.go), so that each has one connection to each
// broker that leads its partitions, on which that waits for messages; a producer that rests for a minute has none (publish.go).
//
// With each place goes a mark of who wrote it (mark.go), and the journal notes its places, too (wire.WithMemory). So a place that Kafka
// has forgotten, that is another journal's or an older topic's, or that another process has taken over, is noticed. A process that reads nothing keeps a mark where it sends (claim.go).
//
// Close ends all of that, and waits for it. Sarama takes no context; its connections do (client.go): whatever waits for the
// network returns when they are cut.
//
// It may import packages bus/wire and Watermill, watermill-kafka, sarama, the SCRAM client that sarama leaves to others, and the
// codecs that sarama uses.
package kafka
