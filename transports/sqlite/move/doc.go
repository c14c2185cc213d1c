// Package move moves modules from one journal into another, and brings them back.
//
// # Split
//
// Split moves the rows of the modules: their tables, migrations and delayed events, and their subscriptions (retired
// subscriptions, too) with deliveries, pending retries, dead letters, acts, and records that are not sent yet. Events
// belong to no module. The journal keeps all of its events, as its history. The new journal gets copies of the events
// that the modules need, numbered from 1 in the same order:
//
//   - Each event of a type that a moving subscription consumes. An event without an answer waits in the new journal. An
//     answered event must be in the new journal, too: the new journal reads the topics of other modules from their
//     start, and drops the events that are known already.
//   - Each event that a moving row refers to.
//   - Each event that the moving modules emitted, sent or not. Both journals keep such an event, but only the new
//     journal can send or resend the event from then on: a relay skips the events of modules that run elsewhere. The
//     owner of a topic owns the past of the topic, too.
//
// References to the number of an event are mapped. A cursor, the start of a subscription and the position of the relay
// become the number of the last event, up to the old position, that the new journal has. A cursor that lags still lags
// in the new journal, and the deliveries above the cursor still show which events are done.
//
// In a journal that has never had a transport, the relay has no position. Then the relays of both journals get a
// position at the end of their logs, and no past event is sent. Events of the moving modules that subscriptions of the
// staying modules have not handled still wait in the old journal.
//
// # Merge
//
// Merge is the opposite of Split. Two events with the same id and type are the same event. Merge appends the events
// that are new to the journal after the journal's own events, in their order. The subscriptions of the journal receive
// the new events, and the relay sends the events that the modules of the journal emitted. Some events are sent twice;
// readers drop the second copy. In detail:
//
//   - An event of the merged modules that neither journal has sent may lie before the position of the journal's relay:
//     the relay passed the event while the modules were elsewhere. This happens when a split is merged before the new
//     journal has run. So the relay goes back to the first such event. An event that came over the transport was sent,
//     and needs no step back.
//   - The cursor of a merged subscription goes back to the first event that the subscription consumes and has not
//     answered, even an event that the other journal never received. A subscription that began with new events only
//     (start_seq > 0) skips the events that the other journal had at that time, and older events. Where such an event
//     comes to lie after an event that the subscription consumes, the event is answered as skipped, with 0 attempts.
//     The same holds for such subscriptions of the journal, and older events from the other journal.
//   - The ingest of the journal has read topics and dropped the events that only the merged modules consume. Events on
//     the way to the merged modules are in neither journal. So the journal gets a new identity: under the new identity
//     the ingest reads the topics from their start, and drops the events that are known already.
//   - The subscriptions of the bus are in every journal and do not move. Merge copies their answers, with the dead
//     letters and the acts on dead letters. When both journals have an answer to an event, package answers decides
//     between the two.
//
// The events of a key and type have a single emitter, and every journal receives such events in order. So both Split
// and Merge keep that order.
//
// # All or nothing
//
// SQLite cannot commit to two files at once. So a single commit decides, always in the journal that exists before and
// after the move: the move took place when that journal has a row in moves, in state done. In the other journal, the
// row with the same id is prepared before the decision and done afterwards. A program that opens the other journal in
// between asks the first journal (package sqlite, moves.go).
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
// A move holds the locks of both journals, against programs, and the write lock of the database, against people who act
// on dead letters. Readers can go on. Guards (triggers) refuse a program that would run a module in a journal that the
// module has left.
//
// # Proof
//
// A move counts and digests all rows, moving and staying rows apart: before the move, in the transaction that decides,
// and afterwards from the disk. A digest covers the content of a row, not the numbers of events. After a difference the
// move does not take place, or is undone. Both journals keep the proof.
//
// Package move may import package sqlite and the driver.
package move
