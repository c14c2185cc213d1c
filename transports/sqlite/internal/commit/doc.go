// Package commit writes a journal: one goroutine takes all queued work into one transaction, and commits once.
//
// A Writer runs Items. The code of an Item gets a Unit, its part of the transaction. Work that hangs, fails or ends the
// transaction costs no other work (tenure.go, fault.go). A second goroutine makes the commits durable (sync.go). The
// journal's own part, such as cursors and wake-ups, is in Hooks.
package commit
