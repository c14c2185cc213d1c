package goroutine

import (
	"bytes"
	"runtime"
	"strconv"
)

// allStacks bounds the text of all goroutines. Those beyond it are nobody's.
const allStacks = 64 << 20

// Stacks returns the stacks of all goroutines, with an empty line between two. All goroutines stand still meanwhile.
func Stacks() []byte {
	text := make([]byte, 256<<10)
	n := runtime.Stack(text, true)
	for n == len(text) && n < allStacks {
		text = make([]byte, 4*n)
		n = runtime.Stack(text, true)
	}
	return text[:n]
}

// Descendants returns the goroutines that root has started, and those that these have started, and so on. A goroutine that has ended
// hides those that it started.
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

// ID returns the number of the calling goroutine, which the runtime tells only as text: some microseconds.
func ID() uint64 {
	var text [64]byte
	return numberAfter(text[:runtime.Stack(text[:], false)], 0, "goroutine ")
}

// numberAfter is the number behind word, which text has at the index at; 0, which is no goroutine's, where it has none.
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
