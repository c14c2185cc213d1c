// Package parity tests that a system behaves the same in every shape: a single process on SQLite, a process with a
// transport, and five processes with a journal each over any transport. Every scenario of the business runs in each
// shape. Then the tests compare the rows of every module's tables, and the causes and effects of every flow.
//
// The in-process Kafka broker always runs. With a real broker or PostgreSQL (make kafka, make postgres), the same
// scenarios also run there.
package parity
