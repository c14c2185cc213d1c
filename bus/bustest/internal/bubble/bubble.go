// Package bubble runs tests in virtual time, and reports goroutines that a test leaves behind.
package bubble

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// Run runs fn in virtual time. If fn leaves blocked goroutines, Run returns an error: testing/synctest panics then, and
// the panic would end the whole test binary.
func Run(t *testing.T, fn func(t *testing.T)) (err error) {
	id := ""
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if !strings.Contains(fmt.Sprint(v), "blocked goroutines remain") {
			panic(v)
		}
		err = errors.New(leaked(id))
	}()
	synctest.Test(t, func(t *testing.T) {
		id = bubbleID()
		fn(t)
	})
	return nil
}

var bubbleOf = regexp.MustCompile(`synctest bubble (\d+)`)

// bubbleID returns the bubble's number in the stack traces of the current goroutine.
func bubbleID() string {
	buf := make([]byte, 256)
	m := bubbleOf.FindSubmatch(buf[:runtime.Stack(buf, false)])
	if m == nil {
		return ""
	}
	return string(m[1])
}

// leaked lists the remaining goroutines of a bubble, with the functions that started them.
func leaked(id string) string {
	buf := make([]byte, 1<<20)
	var lines []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if m := bubbleOf.FindStringSubmatch(g); m == nil || m[1] != id {
			continue
		}
		_, by, _ := strings.Cut(g, "created by ")
		by, _, _ = strings.Cut(by, " in goroutine")
		frames := strings.SplitN(g, "\n", 3)
		if len(frames) > 1 {
			in := frames[1][:max(0, strings.LastIndex(frames[1], "("))] // without the arguments: they are addresses
			lines = append(lines, fmt.Sprintf("a goroutine remains blocked: in %s, started by %s", in, by))
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}
