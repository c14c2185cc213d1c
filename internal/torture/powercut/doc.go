// Package powercut records the writes and syncs of a process, and builds the files as a power cut at any time could
// leave them: unsynced data exists, is missing, or exists in part.
//
// The model is a disk that keeps its promises and no more. A sync makes all writes durable that ended before the sync
// began. All other writes may be on the disk or not, sector by sector, in any order. A file may have the old or the new
// length.
//
// The recorder is strace, so powercut runs only on Linux. The test shows that the journal keeps acknowledged events
// (docs/decisions/0003): `go test ./internal/torture/powercut -cuts 5000`.
package powercut
