package journal

import "context"

// Memory stores the positions of a journal in the topics of other deployables. The backend stores these positions,
// too, but may lose them, and does not know whether the journal is the one that the positions belong to: the journal
// may be a copy, or restored from a backup. All methods are safe for concurrent use.
type Memory interface {
	// ID returns the identity of the journal. A copy has the same identity.
	ID() string
	// Head returns the seq of the newest event that survives a power cut.
	Head() int64
	// Noted returns the last positions passed to Note for a consumer position, by partition, also those that are not on
	// disk yet.
	Noted(ctx context.Context, position string) (map[int32]Noted, error)
	// Note records a position. The journal stores the position soon, with a later commit: after a crash, Noted may return
	// an older position.
	Note(position string, partition int32, n Noted)
}

// Noted is a position in a topic.
type Noted struct {
	Topic string // identity of the topic, which differs after a topic is deleted and created again; "" if unknown
	Next  int64  // in the transport's terms: Kafka the next offset, PostgreSQL the last acknowledged offset
}
