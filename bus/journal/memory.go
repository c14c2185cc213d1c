package journal

import "context"

// Memory notes how far a journal has read the topics of others. The carrier keeps these positions, too, but forgets them, and does not
// know whether the journal is the one that they were written for: it may be a copy of it, or an older one.
// Its methods are safe for concurrent use.
type Memory interface {
	// ID is the journal's identity. A copy of the journal has the same.
	ID() string
	// Head is the seq of the newest event that survives a power cut.
	Head() int64
	// Noted returns what Note was last told of a place, by partition. What was not written down yet counts, too.
	Noted(ctx context.Context, place string) (map[int32]Noted, error)
	// Note notes a position. It is written down soon, with a later commit: after a crash, an older one may be noted.
	Note(place string, partition int32, n Noted)
}

// Noted is a position in a topic.
type Noted struct {
	Topic string // the identity of the topic, which another one of the same name does not have; "" if it has none
	Next  int64  // everything before it was taken in
}
