package dispatch

// Limits of the dispatch of a journal's subscription.
const (
	// Admitted is the number of events in memory beyond those in flight, and of events loaded from pending.
	Admitted = 512
	// AdmittedBytes bounds the size of the events of each of these two kinds.
	AdmittedBytes = 4 << 20
	// LaneLength is the number of events of one key that wait in memory after a slow one. More are recorded as blocked, so
	// that a busy key does not use up Admitted.
	LaneLength = 64
	// HeldLanes is the number of keys in memory that wait for a retry or for a person. More are left to the disk.
	HeldLanes = 4096
)
