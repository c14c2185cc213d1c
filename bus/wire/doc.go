// Package wire is what lies between the journals of two deployables: the form that an event has on the way (CloudEvents 1.0
// in binary mode, as the metadata of a Watermill message), the relay that sends a journal's events, and the ingest that
// takes in those of others.
//
// A Transport carries the messages. The wire makes up for what transports do: they deliver again what was not acknowledged
// in time, and an event that came twice is dropped by its id; they may be away for hours, and the relay stays where it is
// and tries again. So every effect happens once, whatever is in between.
//
// People who use Troupe need nothing from here; package bus wraps it. This package imports the standard library,
// Watermill's message package and package journal.
package wire
