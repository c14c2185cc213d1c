// Package move moves modules from one journal into another, and brings them back.
//
// # Split
//
// Split moves the rows of the modules: their tables, migrations and delayed events, and their subscriptions (retired
// subscriptions, too) with deliveries, pending retries, dead letters, acts, and records that are not sent yet. Events
// belong to no module. The journal keeps all of its events, as its history. The new journal gets copies of the events
// that the modules need, numbered from 1 in the same order:
//
//   - Events of a type that a moving subscription consumes. An event without an answer waits in the new journal. An
//     answered event is needed, too: the new journal reads the topics of other modules from their start, and drops the
//     events that are known already.
//   - Events that a moving row refers to.
//   - Events that the moving modules emitted, sent or not. Both journals keep these events, but only the new journal
//     can send or resend them: a relay skips the events of modules that run elsewhere. The owner of a topic owns the
//     past of the topic, too.
//
// References to the number of an event are mapped. A cursor, the start of a subscription and the position of the
// relay become the last event of the new journal up to the old position. A cursor that lags still lags in the new
// journal, and the deliveries above the cursor still show which events are done.
//
// In a journal that has never had a transport, the relay has no position. Then the relays of both journals start at
// the first event of the flows that are not finished: an observer must see how these flows end. Only a resend sends
// earlier events. Events of the moving modules without an answer from a staying module wait in the old journal.
//
// # Merge
//
// Merge is the opposite of Split. Two events with the same id and type are the same event. Merge appends new events
// after the journal's own events, in their order. The subscriptions of the journal receive the new events, and the
// relay sends the events of the journal's modules. Some events are sent twice; readers drop the second copy. In
// detail:
//
//   - An event of the merged modules that neither journal has sent may lie before the position of the journal's relay,
//     which passed the event while the modules were elsewhere. This happens when a split is merged before the new
//     journal has run. So the relay goes back to the first such event.
//   - The cursor of a merged subscription goes back to the first event without an answer, even to an event that the
//     other journal never received. A subscription that began with new events only (start_seq > 0) skips the events
//     that the other journal had at that time, and older events. Where a skipped event comes to lie after an event to
//     handle, the skipped event gets an answer with 0 attempts. The same holds for such subscriptions of the journal,
//     and older events from the other journal.
//   - The ingest of the journal has dropped the events that only the merged modules consume. Events on the way to the
//     merged modules are in neither journal. So the journal gets a new identity: the ingest then reads the topics from
//     their start, and drops the events that are known already.
//   - The subscriptions of the bus are in every journal and do not move. Merge copies their answers, with the dead
//     letters and the acts on dead letters. When both journals have an answer, package answers decides between the
//     two.
//
// The events of a key and type have a single emitter, and every journal receives such events in order. So both Split
// and Merge keep that order.
//
// # All or nothing
//
// SQLite cannot commit to two files at once. So a single commit decides, always in the journal that exists before and
// after the move: the move took place when that journal has a row in moves, in state done. In the other journal, the
// row with the same id is prepared before the decision and done afterwards. A program that opens the other journal in
// between asks the first journal (package sqlite).
//
//	           copy    other journal                       the journal         other journal
//	split      made    built as a part, synced, named      loses the modules   done
//	merge      made    prepared                            gets the modules    done, and never opened again
//	undo       noted   prepared                            is made the copy    removed, or used again
//	                                                       ^ decides
//
// Undo writes the row of the move, with act undo, into the copy before the copy is copied back. Copying back is a
// single transaction of SQLite, too.
//
// A move holds the locks of both journals, against programs, and the write lock of the database, against people who
// act on dead letters. Readers can go on. Guards (triggers) refuse a program that would run a module in a journal
// that the module has left.
//
// # Proof
//
// A move counts and digests all rows, moving and staying rows apart: before the move, in the transaction that
// decides, and afterwards from the disk. A digest covers the content of a row, not the numbers of events. After a
// difference the move does not take place, or is undone. Both journals keep the proof.
//
// Package move may import package sqlite and the driver.
//
// Package move is a seam: a minor version may change the package, and the changelog says how.
package move
