// Package tail keeps the newest events of a journal in memory.
package tail
