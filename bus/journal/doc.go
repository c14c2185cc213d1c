// Package journal is the seam below a bus: what a store must offer so that a Bus can run on it.
//
// People who use Troupe need nothing from here; package bus wraps it. People who write a store implement Journal, and
// the types in this package are the words that the two sides share. transports/sqlite is the implementation that ships.
//
// The contract in one sentence: one reaction's state changes, the events that it emits and the record that it ran are
// one commit, and for every event and every subscription there is exactly one recorded answer.
//
// This package imports the standard library and Watermill's message package, nothing else.
package journal
