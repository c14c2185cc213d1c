package eventid

import (
	"regexp"
	"slices"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

func TestIDsAscendAndDiffer(t *testing.T) {
	t.Parallel()
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = New()
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 10_000 {
		t.Error("ids do not ascend, or come twice")
	}
}

// What a reaction emits has an id that everything which tells it apart goes into, and nothing else does. The first one is written down:
// a newer program must make the same.
func TestAnEmittedIDIsOfItsReaction(t *testing.T) {
	t.Parallel()
	cause := &journal.Event{ID: "0198c0de-1234-7abc-8def-0123456789ab", Type: "order.placed"}
	if got, want := Emitted("inventory/reserve", cause, 0, "inventory.reserved"), "0198c0de-1234-7abd-9a96-ace1524d0344"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-([78])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for n, last := 0, cause.ID; n < 5000; n++ { // beyond the fraction of a millisecond
		got := Emitted("inventory/reserve", cause, n, "inventory.reserved")
		if got <= last {
			t.Fatalf("id %d is %s, and the one before %s", n, got, last)
		}
		last = got
	}
	seen := map[string]bool{}
	for _, id := range []string{cause.ID, "", "7", "0198c0de-1234-7abc-8def-0123456789aB", "zzzzzzzz-zzzz-7zzz-8def-0123456789ab", "0198c0de-1234-4abc-8def-0123456789ab"} {
		for _, kind := range []string{"order.placed", "order.place", ""} {
			for _, sub := range []string{"inventory/reserve", "inventory/reserved", ""} {
				for n := range 3 {
					for _, emits := range []string{"d", "inventory.reserved"} {
						got := Emitted(sub, &journal.Event{ID: id, Type: kind, Key: "k"}, n, emits)
						if seen[got] || form.FindString(got) == "" {
							t.Fatalf("id %s of %q %q %q %d %q: it is another one's, or none", got, id, kind, sub, n, emits)
						}
						seen[got] = true
						if again := Emitted(sub, &journal.Event{ID: id, Type: kind, Hops: 3}, n, emits); again != got {
							t.Errorf("the same is %s, and then %s", got, again)
						}
					}
				}
			}
		}
	}
}
