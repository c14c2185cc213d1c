package dispatch

// The limits with which a subscription of a journal runs its dispatch.
const (
	// Admitted is the number of events that a subscription holds beyond those in flight, and how many more it reads back
	// from pending.
	Admitted = 512
	// AdmittedBytes bounds the size of the events of each of these two kinds.
	AdmittedBytes = 4 << 20
	// LaneLength is the number of events of one key that wait in memory after one that takes long. More are recorded as
	// blocked, so that a busy key does not use up Admitted, and other keys go on.
	LaneLength = 64
	// HeldLanes is the number of keys that may wait for a retry, or for a person, in memory. More are left to the disk.
	HeldLanes = 4096
)
