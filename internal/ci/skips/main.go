// Command skips turns the JSON stream of go test into what a person reads, and does not let a run pass for green that
// is not.
//
//	{ go test -json ./... || echo "go test: exit status $?"; } | skips
//
// It prints one line per package as go test does, everything that a failed package wrote, and every skipped test with
// its reason. Its last line is alone: "N passed, N failed, N skipped", where tests, subtests, examples and fuzz targets
// count one each.
//
// It exits with 1 when a test or a package failed, when a package did not build or never reported a result, when a line
// of the stream is not a test event (so the line that the shell adds above when go test fails), and when no test ran.
package main

import (
	"fmt"
	"os"
)

func main() {
	report := newReport(os.Stdout)
	if err := report.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(1)
	}
	if !report.close() {
		os.Exit(1)
	}
}
