// Package dispatch decides which delivery of a subscription runs next, and keeps the deliveries of one key in order.
//
// A Machine is a state machine without I/O, goroutines or clocks: time comes in as a value, Next says what the caller must
// read or write, and the caller hands the answer back. The journal runs it under a mutex; a model check walks it through every
// interleaving of small cases.
//
// A delivery belongs to a lane: its key, or itself where it has no key. An event is admitted in the order of the log. It runs
// when its lane is empty; it waits in memory behind one that runs; and it is recorded as blocked, so that the rest of the log
// can pass, behind one that failed. From then on the rows of the lane on disk decide what is next: other processes change
// them (people replay, retry and drop), and their acts are heard of later. So memory counts no rows. It looks at the oldest
// one of the lane whenever the lane is free, and again when an act on the lane is heard of.
//
// Invariants, after every call:
//
//  1. A lane has at most one delivery that may run, its head: ready, handed out, or refused and waiting for a moment.
//  2. What waits in memory is younger than the head of its lane and older than all that the lane has on disk. An act on the lane
//     may have put something older there: then all that waits is recorded as blocked before the lane goes on.
//  3. A lane without a head is looked at, or held until a row of it is due, or stands until an act on it is heard of (a dead
//     letter parks its key). It has nothing that waits in memory.
//  4. A row of a key runs when the log was read up to it: before that, older events of its key may be without a row, since
//     the process that had them in memory ended.
//  5. Every lane that has rows on disk is in memory, or Complete is false. Then the caller asks the disk about the lane of each
//     event that it admits, and each lane that is not in memory is found by the sweep, or by a row that comes due.
//  6. At most Parallel deliveries are handed out, and while fewer are, none is ready.
//  7. The deliveries in memory stay within their limits in number and in bytes, but for the last one of each kind (admitted from
//     the log, loaded from rows).
package dispatch
