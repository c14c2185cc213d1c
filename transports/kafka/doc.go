// Package kafka carries messages between deployables over Apache Kafka. It implements wire.Transport on the requests of
// IBM's sarama. Programs on watermill-kafka read and write the same records (Marshaler).
//
// A topic is called prefix.module. The record key is the event's key, and goes to the same partition as with Java's
// clients. The headers are the metadata: CloudEvents in binary content mode. A missing topic is created.
//
// Publish is idempotent and waits for all in-sync replicas. Each topic has a lane (publish.go), on which concurrent
// calls share batches, and a producer (produce.go). After any failure the lane discards the producer with its sequence
// numbers. A producer sends a partition's next batch only after the acknowledgement, so sending again keeps each key in
// order.
//
// Subscribe reads all partitions without joining a consumer group (subscribe.go says why). Only the offsets are stored
// under a group's name. Each broker that leads partitions has a fetcher (fetch.go). Each partition has a goroutine that
// delivers and waits for acknowledgements (partition.go), and each subscription has a goroutine that commits offsets
// (offsets.go). A subscription ends when a fetcher cannot read for a few seconds, or for up to thirty while brokers
// answer slowly (patience.go). Sarama would decompress whole answers. So a connection withholds fetched records from
// sarama (conn.go, answer.go), and a partition decompresses record by record, as messages are taken (unpack.go,
// budget.go).
//
// Connections are few. All subscriptions share a client for everything but fetching (common.go). For fetching, each
// subscription has a connection to every broker that leads one of its partitions. A producer without messages for a
// minute has no connection (publish.go).
//
// Each stored offset has a mark that names its writer (mark.go), and the journal notes the offsets, too
// (wire.WithMemory). So a subscription notices that Kafka has lost an offset, that an offset belongs to another journal
// or to an older topic, and that another process has taken over. A process that only sends keeps a mark in its topics
// (claim.go).
//
// Close ends all activity and waits for the end. Sarama takes no context, but the connections do (client.go): when a
// connection is cut, every call returns that waits for an answer.
//
// The package may import bus/wire and Watermill, watermill-kafka, sarama, the SCRAM client that sarama leaves to its
// users, and the codecs that sarama uses. Package kafka is a seam: minor versions may change the package.
package kafka
