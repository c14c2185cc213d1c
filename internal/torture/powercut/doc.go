// Package powercut records what a process writes to files and forces to the disk, and builds the files as a power cut at any
// instant could leave them: what was not forced yet is there, is not there, or is there in part.
//
// It is a model of a disk that keeps its promises and no more. A sync makes durable what was written before it began. Everything
// else may be on the disk or not, sector by sector, in any order; a file may have its old length or its new one.
//
// The recorder is strace, so it runs on Linux alone. Its test is what says that the journal keeps what it acknowledged
// (docs/decisions/0003): `go test ./internal/torture/powercut -cuts 5000`.
package powercut
