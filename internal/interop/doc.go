// Package interop holds the tests with clients that are not ours: what Troupe writes to a topic is read by others as
// CloudEvents, and what they write is handled, whether it is an event or nothing of the kind.
package interop
