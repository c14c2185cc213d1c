// Package parity holds the tests that a system means the same in every shape: one process on SQLite, one with a transport,
// and five processes with a journal each over a transport, whichever it is. Every scenario of the business runs in each of
// them, and what is left is compared: the rows of every module's tables, and of every flow what caused what.
//
// The in-process Kafka broker is always there. With a real broker or PostgreSQL (make kafka, make postgres) the same
// scenarios run on those, too.
package parity
