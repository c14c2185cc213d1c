// Package postgres carries events between deployables in tables of a PostgreSQL database (13 or later): the transport of teams
// that have a PostgreSQL and no Kafka. It stands on watermill-sql and pgx.
//
// Each topic is two tables, such as troupe_order_messages and troupe_order_offsets. A message's place is the number of the
// transaction that wrote it, and its offset. A reader goes up to the oldest transaction that is still running, and no further:
// what commits late is behind what it has read, never before it. So a transaction that writes and stays open holds up all delivery,
// in whatever database of the server it is; after 10 s the channel closes, and Subscribe says which one it is, until it ends. Every
// message wakes the readers through NOTIFY, in the transaction that writes it.
//
// Of the readers of one group one reads, and Subscribe refuses the others, until it ends or the server gives it up, which takes up
// to 15 s when its machine has gone without a word. The reader delivers about 10,000 messages, or 64 MiB, ahead of the oldest that is
// not acknowledged, and keeps the place of that at most four times a second. It has a connection of its own for each topic;
// behind a pooler that shares connections between transactions neither the waiting nor NOTIFY works: connect to the server.
//
// With a place goes a mark, of the process that wrote it and of its journal (package mark), and the journal notes its places, too. So a
// journal that was restored from a backup reads again from where it was then, and a place that is another journal's, or that somebody moved
// by SQL, is told with wire.MetaTrouble. A place that is gone is where the journal notes it. A table such as troupe_claims says which
// process runs for a journal. Each looks there every few seconds, and the older one of two on copies of a journal ends with
// wire.ErrReplaced. Where somebody else makes the tables (Config.NoCreate), and has not added the column and the table, a link has a
// warning with the statements, and nothing of this is noticed.
//
// Messages that every group has acknowledged are deleted after Config.Retention; the log names a group that holds them for twice
// as long. A topic that no group has read stays as it is, unless its name begins with "_": such a topic, of which no module is the
// owner, is for observers, who may never come, and goes by age alone. A place is given up, which the log says, when the first
// message behind it is four times as old as the Retention, and nobody was seen reading from it for an hour; so is a place that the
// deployable kept under another name (wire.WithPlace), once the present one has passed it. Up to where messages were deleted is
// noted in the table of offsets, in the row without a name. A group that begins before that, or again, first gets a message that
// says so, with wire.MetaTrouble.
//
// Other programs publish by inserting rows: uuid, payload, metadata (a JSON object of strings) and key, which may be NULL, are
// theirs. What text cannot hold in PostgreSQL, zero bytes and what is not UTF-8, is written as the byte 1, "b64:" and base64.
//
// Tables that were restored from a dump into another server have transaction numbers that mean nothing there. If they are ahead
// of the server's, the first who uses a topic numbers its messages again, in their order, and moves the places along. What journals note of
// the former numbers does not count any more.
//
// A table of one row, such as troupe_identity, says which database this is. A process that finds another one than it began with, since
// the tables were restored from a dump or made anew, publishes, reads and makes nothing any more; Features.Identity lets a journal
// notice that after a restart. The tables are in the first schema of search_path. Where another schema has tables of the prefix
// already, the URL must name the schema (search_path=...).
//
// The package imports the standard library, bus/wire, Watermill, watermill-sql and pgx. Close ends a Transport: calls give up,
// places are kept, and no goroutine is left.
package postgres
