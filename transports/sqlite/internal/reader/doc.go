// Package reader reads a journal for commands, tests and people: events, flows, dead letters, counts, and violations of
// the journal's rules. Package sqlite exports the types and functions.
package reader
