// Package wire connects the journals of deployables. Encode and Decode convert an event to a message (CloudEvents 1.0
// in binary mode, as metadata of a Watermill message), a Relay sends the events of a journal, and an Ingest stores
// the events of other journals.
//
// A Transport carries the messages. A transport may deliver a message again: the journal drops an event with a known
// id. A transport may be unreachable for hours: the relay keeps its position and retries. So every effect happens
// once, with any transport.
//
// Programs use package bus, which wraps this package; authors of a transport implement Transport. This package
// imports the standard library, Watermill's message package and package journal.
//
// Package wire is a seam: a minor version may change the package, and the changelog says how.
package wire
