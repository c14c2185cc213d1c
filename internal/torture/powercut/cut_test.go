package powercut

import (
	"math/rand/v2"
	"strings"
	"testing"
)

const small = `7 pwrite64(3</d/a>, "\x61\x62", 2, 0) = 2
7 fsync(3</d/a> <unfinished ...>
8 pwrite64(3</d/a>, "\x63", 1, 2 <unfinished ...>
7 <... fsync resumed>) = 0
8 <... pwrite64 resumed>) = 1
8 pwrite64(3</d/a>, "\x64", 1, 9) = -1 ENOSPC (No space left on device)
7 write(1</dev/pts/1>, "\x41\x43\x4b\x0a", 4) = 4
7 ftruncate(3</d/a>, 1) = 0
`

func TestCut(t *testing.T) {
	t.Parallel()
	ops, err := Parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) != 5 || ops[3].Kind != Say || string(ops[3].Data) != "ACK\n" || ops[2].Begun != 2 || ops[2].Ended != 4 {
		t.Fatalf("%+v", ops)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		n    int
		loss Loss
		want string
	}{
		{0, 1, ""}, {1, 1, ""}, {1, 0, "ab"}, {2, 1, "ab"},
		{3, 1, "ab"}, // the write began before the sync returned, and ended later
		{3, 0, "abc"}, {5, 1, "ab"}, {5, 0, "a"},
	} {
		if got := string(Cut(ops, c.n, "/d/a", c.loss, random)); got != c.want {
			t.Errorf("after %d ops with a loss of %v: %q, want %q", c.n, c.loss, got, c.want)
		}
	}
}
