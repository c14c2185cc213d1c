// Package move takes modules out of one journal into another, and brings them back.
//
// # What goes where
//
// Split moves all that belongs to the modules: their tables and migrations, their subscriptions (also retired ones), the deliveries,
// pending retries, dead letters, acts and untold records of these, and their delayed events. Events belong to nobody: the journal
// keeps all of them, as what it was told and did, and the new one gets copies of those that it needs, numbered from 1 in the same
// order:
//
//   - Every event of a type that a moving subscription consumes, handled or not. What is not handled waits in the new journal from
//     then on. What is handled must be there too: the new journal reads the topics of others from the beginning, and drops what
//     it has.
//   - Every event that a row which moves is of.
//   - Every event that the moving modules emitted, sent or not. Both journals keep it, but from now on only the new one can send it,
//     for the first time or again: a relay leaves out what modules elsewhere emitted. A topic's owner owns the topic's past.
//
// All that refers to an event's number is mapped. A cursor, or the start of a subscription, comes to the last event that the new journal
// has of those up to it; so does the place of the relay. A cursor that lags stays behind, and the deliveries above it still say what
// is done.
//
// A journal that has never had a transport has no place of the relay. Then both get one, at their end: what has happened is where it
// is needed, and nothing of it is sent. What the moving modules emitted for those that stay, and these have not handled, waits where
// they are.
//
// Merge is the other way round. An event is the same in both by its id and type; those that are new to the journal are appended behind
// its own, in their order: its subscriptions get them, and its relay sends what its modules emitted, some of it for the second
// time. Readers drop that. In particular:
//
//   - What the modules emitted, and neither journal has sent, may lie behind the place of the journal's relay, which passed it while
//     the modules were elsewhere: that happens when a split is merged before the new journal has run. So the relay goes back to before
//     the first of them. What came by the transport was sent, and needs nothing.
//   - A subscription's cursor comes to before the first event that it wants and has no answer for: also one that the journal has and the
//     other one was never given. A subscription that began with what came later (start_seq > 0) wants nothing that the other
//     journal had before, or that is older than that; where such an event comes to lie behind one that is wanted, it is answered as
//     skipped, after 0 attempts. So does a subscription of the journal that began like that with older events that come.
//   - The ingest of the journal has read topics, and dropped what only the modules that come consume. What was on its way to them is
//     not in either journal. So the journal gets a new identity, under which it reads the topics from the beginning, and drops
//     what it has.
//   - The bus's own subscriptions are in every journal, and do not move. Their answers do, with dead letters and what people did with
//     these. Where both journals have an answer to one event, own.go says which counts.
//
// Events of one key and type have one emitter, and come to every journal in their order: so they keep it in both directions.
//
// # All or nothing
//
// SQLite does not commit to two files at once. So one commit decides, always in the journal that modules leave or come to, the one that
// is there before and after: it has a row in moves, in state done, or it has not. The other journal's row of the same id is prepared
// before, and done after that; who opens it in between asks the first one (package sqlite, moves.go).
//
//	           copy    other journal                       the journal         other journal
//	split      made    built as a part, synced, named      loses the modules   done
//	merge      made    prepared                            gets the modules    done, and never opened again
//	undo       noted   prepared                            is made the copy    removed, or used again
//	                                                       ^ decides
//
// The copy has the row of the move with act undo when it is copied back. That is one transaction of SQLite's too.
//
// Every move holds both journals' locks, against programs, and the write lock of the database, against people who act on dead letters.
// Readers are not disturbed. Guards (triggers) keep programs from running a module where it is not any more.
//
// # Proof
//
// All rows are counted and digested before, in the transaction that decides, and afterwards from the disk, by what they say and not
// by their numbers: those that move and those that stay. When something differs, the move does not take place, or is undone. The
// proof is kept in both journals.
//
// It may import package sqlite and the driver.
package move
