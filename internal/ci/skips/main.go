// Command skips formats the JSON stream of go test for readers, and fails if a test run is not green.
//
//	{ go test -json ./... || echo "go test: exit status $?"; } | skips
//
// It prints a line per package as go test does, the whole output of failed packages, and every skipped test with the
// reason. The last line is "N passed, N failed, N skipped", where tests, subtests, examples and fuzz targets each
// count.
//
// The exit code is 1 in these cases: a test or a package failed; a package did not build or never reported a result;
// a line of the stream is not a test event, such as the line that the shell adds above when go test fails; no test
// ran.
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
