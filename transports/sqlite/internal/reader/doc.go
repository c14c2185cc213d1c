// Package reader reads a journal for commands, tests and people: events, flows, dead letters, counts, and whether the
// journal is sound. Package sqlite exports its types and functions.
package reader
