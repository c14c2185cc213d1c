// Package postgres carries events between deployables in tables of a PostgreSQL database (13 or later). It is the
// transport of teams with PostgreSQL and without Kafka. It stands on watermill-sql and pgx.
//
// Each topic has two tables, such as troupe_order_messages and troupe_order_offsets. A message's position is the number
// of the transaction that wrote the message, and an offset. A reader stops before the oldest running transaction. So
// late commits come after the messages that were read, never before. A transaction that writes and stays open, in any
// database of the server, holds up all delivery: after 10 s the channel closes, and until the transaction ends,
// Subscribe returns an error about it. Every message wakes the readers through NOTIFY, in the transaction that writes
// the message.
//
// Only a single reader of a group reads. Subscribe refuses others until that reader ends, or until the server gives up
// a machine that no longer answers, which takes up to 15 s. The reader delivers about 10,000 messages, or 64 MiB, ahead
// of the oldest message without an acknowledgement, and stores its position at most four times a second. It has a
// connection of its own for each topic. Connect to the server itself: a pooler that shares connections between
// transactions breaks the lock of the reader and NOTIFY, and gives the limits of these sessions to other programs.
//
// Each position has a mark of its process and journal (package mark), and the journal notes its positions, too. So a
// journal that was restored from a backup reads again from its former position. A position of another journal, or a
// position that was changed by SQL, is reported by a message with wire.MetaTrouble. For a lost position, the journal's
// note counts. A table such as troupe_claims names the process that runs for a journal. Each process reads the table
// every few seconds, and the older of two processes on copies of a journal ends with wire.ErrReplaced. Where
// Config.NoCreate is set, the column of the marks or the table of claims may be missing: then links have a warning with
// the missing statements.
//
// Messages that every group has acknowledged are deleted after Config.Retention. The log names a group that holds
// messages for twice that time. A topic without groups keeps its messages, unless its name begins with "_". Such a
// topic belongs to no module. It is for observers, and there may be none: so its messages are deleted by age alone. A
// group's position is deleted, with a line in the log, when the first message after it is four times as old as the
// Retention and the group was without a reader for an hour. A position that the deployable kept under another name
// (wire.WithPosition) is deleted when the present position has passed it. The position of the last deletion is in the
// table of offsets, in the row without a name. A group that begins before that position first gets a message with
// wire.MetaTrouble.
//
// Other programs publish by inserting rows with uuid, payload, metadata (a JSON object of strings) and key, which may
// be NULL. Text that PostgreSQL cannot store, with zero bytes or without valid UTF-8, is written as the byte 1, "b64:"
// and base64.
//
// Tables that were restored from a dump into another server contain transaction numbers of the former server. If they
// are ahead of the new server's numbers, the first user of a topic numbers its messages again, in order, and changes
// the positions accordingly. The notes of journals about the former numbers then no longer count.
//
// A table with a single row, such as troupe_identity, identifies the database. When a process finds another identity
// than at its start, because the tables were restored from a dump or created again, it stops publishing, reading and
// creating. A journal notices the change after a restart through Features.Identity. The tables are in the first schema
// of search_path. Where another schema has tables of the prefix already, the URL must name the schema
// (search_path=...).
//
// The package imports the standard library, bus/wire, Watermill, watermill-sql and pgx. Close ends a Transport: calls
// give up, positions are stored, and no goroutine is left.
//
// Package postgres is a seam: a minor version may change the package, and the changelog says how.
package postgres
