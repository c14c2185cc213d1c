package count

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestNormalise: words with a number in them become #, as the pattern says, in any text.
func TestNormalise(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`[\pL\pN_-]*\pN[\pL\pN_-]*`)
	pieces := []string{"a", "7", "-", "_", " ", ".", "é", "٣", "½", "漢", "€", "\xff", ":", "order"}
	draw := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := ""
		for range draw.IntN(12) {
			text += pieces[draw.IntN(len(pieces))]
		}
		if got, want := string(Normalise(nil, []byte(text))), word.ReplaceAllString(text, "#"); got != want {
			t.Fatalf("%q becomes %q, want %q", text, got, want)
		}
	}
}
