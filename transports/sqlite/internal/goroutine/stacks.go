package goroutine

import (
	"bytes"
	"runtime"
	"strconv"
)

// allStacks is the maximum size of the text of Stacks. Goroutines beyond that size are left out.
const allStacks = 64 << 20

// Stacks returns the stacks of all goroutines, separated by empty lines. All goroutines stop meanwhile.
func Stacks() []byte {
	text := make([]byte, 256<<10)
	n := runtime.Stack(text, true)
	for n == len(text) && n < allStacks {
		text = make([]byte, 4*n)
		n = runtime.Stack(text, true)
	}
	return text[:n]
}

// Descendants returns the ids of the goroutines that root started, directly or through other goroutines. The goroutines
// that an ended goroutine started are not found.
func Descendants(root uint64) map[uint64]bool {
	children := map[uint64][]uint64{}
	for one := range bytes.SplitSeq(Stacks(), []byte("\n\n")) {
		if id := numberAfter(one, 0, "goroutine "); id != 0 {
			parent := numberAfter(one, bytes.LastIndex(one, []byte(" in goroutine ")), " in goroutine ")
			children[parent] = append(children[parent], id)
		}
	}
	members := map[uint64]bool{}
	for next := []uint64{root}; len(next) > 0; next = next[1:] {
		for _, child := range children[next[0]] {
			members[child] = true
			next = append(next, child)
		}
	}
	return members
}

// ID returns the number of the calling goroutine. The runtime returns the number only as text, which takes some
// microseconds.
func ID() uint64 {
	var text [64]byte
	return numberAfter(text[:runtime.Stack(text[:], false)], 0, "goroutine ")
}

// numberAfter returns the number after word, which is in text at index at. Without such a number it returns 0, which is
// no goroutine.
func numberAfter(text []byte, at int, word string) uint64 {
	if at < 0 || !bytes.HasPrefix(text[at:], []byte(word)) {
		return 0
	}
	text = text[at+len(word):]
	end := bytes.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, _ := strconv.ParseUint(string(text[:end]), 10, 64)
	return n
}
