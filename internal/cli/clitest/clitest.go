// Package clitest checks the output of commands. Only tests import the package.
package clitest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Ran is a command that has ended.
type Ran interface {
	// Output returns the text on stdout, the exit code, and the error of the command.
	Output() (stdout string, code int, err error)
}

// WantOutput checks the exit code of a command, that stdout and the error contain all parts, and that no line of the
// error has the same words before or after a colon twice.
func WantOutput(tb testing.TB, got Ran, code int, parts ...string) {
	tb.Helper()
	text, ended, err := got.Output()
	if err != nil {
		if twice := doubled(err.Error()); twice != "" {
			tb.Errorf("the error says %q twice: %v", twice, err)
		}
		text += err.Error()
	}
	if ended != code {
		tb.Errorf("exit code %d, want %d: %s", ended, code, text)
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			tb.Errorf("output does not say %q:\n%s", p, text)
		}
	}
}

// doubled returns the words that a line of an error has twice, or "". A colon ends the words.
func doubled(text string) string {
	for line := range strings.Lines(text) {
		seen := map[string]bool{}
		for words := range strings.SplitSeq(strings.TrimSpace(line), ": ") {
			if seen[words] {
				return words
			}
			seen[words] = true
		}
	}
	return ""
}

// MustUnmarshal decodes the JSON on the stdout of a command.
func MustUnmarshal[T any](tb testing.TB, ran Ran) (v T) {
	tb.Helper()
	stdout, _, err := ran.Output()
	if wrong := json.Unmarshal([]byte(stdout), &v); wrong != nil {
		tb.Fatalf("%v in %s (%v)", wrong, stdout, err)
	}
	return v
}

// failed is the error of a program that has ended with an exit code above 0.
type failed struct {
	code int
	text string
}

// Error returns the last message on stderr.
func (f failed) Error() string { return f.text }

// Outcome splits the stderr of a program that has ended with code: before is the text before the program's last
// message, and err has the message and the code. With the code 0, err is nil.
func Outcome(program, stderr string, code int) (before string, err error) {
	if code == 0 {
		return stderr, nil
	}
	begin := "\n" + program + ": "
	at := strings.LastIndex("\n"+stderr, begin)
	if at < 0 { // the message is on stdout
		return stderr, failed{code: code}
	}
	return stderr[:at], failed{code, strings.TrimSuffix(("\n" + stderr)[at+len(begin):], "\n")}
}

// ExitCode returns the code of an error of Outcome.
func ExitCode(err error) int {
	var f failed
	if errors.As(err, &f) {
		return f.code
	}
	return 0
}
