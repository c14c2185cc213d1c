// Package formats has events in Protobuf and Avro as examples that run, for docs/payloads.md. The package is in a Go
// module of its own, so that programs with Troupe need neither library.
package formats
