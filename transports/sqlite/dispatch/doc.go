// Package dispatch decides which delivery of a subscription runs next, and keeps the deliveries of a key in order.
//
// A Machine is a state machine without I/O, goroutines or clocks. The caller passes in the time, Next returns what the
// caller must read or write, and the caller passes in the result. The journal runs a Machine under a mutex. A model
// check walks the Machine through every interleaving of small cases.
//
// A delivery belongs to a lane: the lane of its key or, without a key, a lane of its own. Events are admitted in the
// order of the log. A delivery runs when its lane is empty. After a running delivery of its lane, it waits in memory.
// After a failed delivery of its lane, it is recorded as blocked, so that the rest of the log can go on. From then on,
// the rows of the lane on disk decide which delivery is next. Other processes change these rows (people replay, retry
// and drop), and the Machine learns of their acts later. So the Machine does not count rows in memory: it looks at the
// oldest row of the lane whenever the lane is free, and again when it learns of an act on the lane.
//
// Invariants, after every call:
//
//  1. At most a single delivery of a lane may run, the lane's head: ready, handed out, or refused with a short wait.
//  2. The deliveries that wait in memory are younger than the head of their lane, and older than the lane's rows on
//     disk. An act on the lane may insert an older row: then all waiting deliveries are recorded as blocked before the
//     lane goes on.
//  3. A lane without a head is to be looked at, or is held until a row of the lane is due, or waits for an act (a dead
//     letter parks its key). No delivery of such a lane waits in memory.
//  4. A row of a key runs only after the log was read up to the row. Before that, older events of the key may have no
//     row, since the process that had these events in memory ended.
//  5. Every lane with rows on disk is in memory, or Complete is false. Then the caller asks the disk about the lane of
//     each event to admit, and the sweep or a row that is due finds each lane that is not in memory.
//  6. At most Parallel deliveries are handed out. While fewer are handed out, no delivery is ready.
//  7. The deliveries in memory stay within the limits in number and in bytes, except for the last delivery of each kind
//     (admitted from the log, loaded from rows).
//
// Package dispatch is a seam: a minor version may change the package, and the changelog says how.
package dispatch
