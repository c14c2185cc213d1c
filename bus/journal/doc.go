// Package journal defines the interface between a bus and a store, and the types that both use.
//
// Programs use package bus, which wraps this package. Authors of a store implement Journal; transports/sqlite is the
// implementation that ships with Troupe.
//
// The contract in a sentence: the state changes of a reaction, the emitted events and the record of the delivery are
// one commit, and a journal records exactly one answer for every event and every subscription.
//
// Package journal imports the standard library and Watermill's message package only.
//
// Package journal is a seam: a minor version may change the package, and the changelog says how.
package journal
