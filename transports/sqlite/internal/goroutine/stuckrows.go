package goroutine

import (
	"bytes"
	"fmt"
	"strings"
)

// A Scan method that panics leaves its rows locked. The deferred Close, as in Row.Scan, then waits for ever, and the
// rows cannot be unlocked.

// ClosesForEver returns the place where goroutine id panicked while database/sql held a lock for which the goroutine
// waits now, or "".
func ClosesForEver(id uint64) string {
	head := fmt.Appendf(nil, "goroutine %d [", id)
	for one := range bytes.SplitSeq(Stacks(), []byte("\n\n")) {
		if bytes.HasPrefix(one, head) {
			return panicBelowClose(string(one))
		}
	}
	return ""
}

// panicBelowClose searches a stack, innermost call first, for a lock, Rows.Close, a panic (or Goexit), and Rows.Scan.
func panicBelowClose(stack string) string {
	rest, found := stack, false
	for _, call := range []string{"\nsync.(*RWMutex).Lock(", "\ndatabase/sql.(*Rows).close("} {
		if _, rest, found = strings.Cut(rest, call); !found {
			return ""
		}
	}
	at := max(strings.Index(rest, "\npanic("), strings.Index(rest, "\nruntime.Goexit("))
	if at < 0 {
		return ""
	}
	rest = rest[at+1:]
	if !strings.Contains(rest, "\ndatabase/sql.(*Rows).Scan(") {
		return ""
	}
	lines := strings.Split(rest, "\n")
	for i := 2; i+1 < len(lines); i += 2 { // a call, then file and line
		if !strings.HasPrefix(lines[i], "runtime.") {
			where, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
			return where
		}
	}
	return ""
}
