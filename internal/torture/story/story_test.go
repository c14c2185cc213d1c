package story

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A seed and a line each stand for a schedule. Events are numbered without gaps or doubles, so that the model can
// distinguish all events.
func TestSchedulesAreData(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds {
		for seed := range uint64(50) {
			s, err := Draw(seed, k.Name)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Draw(seed, k.Name)
			if err != nil || !reflect.DeepEqual(s, again) {
				t.Fatalf("kind %s, seed %d is not the same twice: %v", k.Name, seed, err)
			}
			read, err := Parse(s.Line())
			if err != nil || !reflect.DeepEqual(s, read) {
				t.Fatalf("kind %s, seed %d is another one when it is read: %v", k.Name, seed, err)
			}
			if strings.ContainsAny(s.Line(), "'$") {
				t.Errorf("kind %s, seed %d: neither make nor a shell takes %s in single quotes", k.Name, seed, s.Line())
			}
			next := map[string]int{}
			for i, step := range s.Steps {
				if step.String() == "" {
					t.Errorf("kind %s, seed %d, step %d has no words", k.Name, seed, i+1)
				}
				if step.Do != Publish && step.Do != Work && step.Do != Foreign {
					continue
				}
				if step.N != next[step.Key]+1 {
					t.Errorf("kind %s, seed %d: %v begins at %d, want %d", k.Name, seed, step, step.N, next[step.Key]+1)
				}
				next[step.Key] += step.Count * step.Calls
			}
		}
	}
	if _, err := Draw(1, "nonsense"); err == nil {
		t.Error("a kind that does not exist is drawn")
	}
	if _, err := Parse("nonsense"); err == nil {
		t.Error("nonsense is a schedule")
	}
}

// Shrinking leaves only the steps that a finding needs.
func TestShrinking(t *testing.T) {
	t.Parallel()
	needs := func(s Schedule) bool {
		i := slices.IndexFunc(s.Steps, func(s Step) bool { return s.Do == Start })
		j := slices.IndexFunc(s.Steps, func(s Step) bool { return s.Do == Publish && s.Count*max(s.Calls, 1) > 10 })
		return i >= 0 && j > i && slices.ContainsFunc(s.Steps[j:], func(s Step) bool { return s.Do == Stop || s.Do == Kill })
	}
	for seed := range uint64(200) {
		s, err := Draw(seed, "anything")
		if err != nil {
			t.Fatal(err)
		}
		if !needs(s) {
			continue
		}
		shrunk := Shrink(s, needs)
		if n := len(shrunk.Steps); n != 3 || !needs(shrunk) {
			t.Errorf("seed %d is shrunk to %d steps, want 3:\n%s", seed, n, Text(shrunk, nil))
		}
	}
	if story := Text(Schedule{Seed: 3, Kind: "gone", Steps: []Step{{Do: RemoveFiles}}}, []Finding{{"lost", "an event"}}); !strings.Contains(story, "lost: an event") ||
		!strings.Contains(story, "files are removed") || !strings.Contains(story, `REPLAY='{"seed":3`) {
		t.Errorf("the story leaves something out:\n%s", story)
	}
}
