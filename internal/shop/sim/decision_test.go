package sim

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

var lively = Options{Seed: 7, Latency: time.Second, DeclineRate: 0.1, UndeliverableRate: 0.05, TransientRate: 0.2, TimeoutRate: 0.1, LostAnswerRate: 0.1}

// TestDecisionsAreWritten pins what a seed means: a change of it would make recorded runs unrepeatable.
func TestDecisionsAreWritten(t *testing.T) {
	t.Parallel()
	if got := lively.draw("trouble", "key", 2); got != 0x9695c47ba9cc41ba {
		t.Errorf("draw is %#x", got)
	}
	other := lively
	other.Seed = 8
	if lively.draw("trouble", "key", 2) == other.draw("trouble", "key", 2) {
		t.Error("the seed makes no difference")
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var declined, undeliverable int
	var waited time.Duration
	first := map[Trouble]int{}
	for i := range n {
		id := fmt.Sprint(i)
		f := lively.fate(request{Key: "key-" + id, Order: "order-" + id})
		if f.Declined != "" {
			declined++
		}
		if f.Undeliverable != "" {
			undeliverable++
		}
		if len(f.Troubles) > maxTroubles {
			t.Fatalf("%d troubles for one key", len(f.Troubles))
		}
		if len(f.Troubles) > 0 {
			first[f.Troubles[0]]++
		}
		l := lively.latency(id, 1)
		if l < 0 || l > 5*lively.Latency {
			t.Fatalf("latency is %v", l)
		}
		waited += l
	}
	for name, share := range map[string]struct{ got, want float64 }{
		"declined":      {float64(declined) / n, 0.1},
		"undeliverable": {float64(undeliverable) / n, 0.05},
		"transient":     {float64(first[Transient]) / n, 0.2},
		"timeout":       {float64(first[Timeout]) / n, 0.1},
		"lost answer":   {float64(first[LostAnswer]) / n, 0.1},
		"mean latency":  {waited.Seconds() / n, 1},
	} {
		if share.got < 0.9*share.want || share.got > 1.1*share.want {
			t.Errorf("%s: %.3f, want about %.3f", name, share.got, share.want)
		}
	}
}

// TestFateBelongsToTheOrder: another key does not turn a declined order into a good one, and each key has its own troubles.
func TestFateBelongsToTheOrder(t *testing.T) {
	t.Parallel()
	troubles := map[string]bool{}
	for i := range 50 {
		f := lively.fate(request{Key: fmt.Sprint(i), Order: "1"})
		again := lively.fate(request{Key: fmt.Sprint(i), Order: "1"})
		if !reflect.DeepEqual(f, again) {
			t.Fatalf("fate is %+v, then %+v", f, again)
		}
		if want := lively.fate(request{Key: "0", Order: "1"}); f.Declined != want.Declined || f.Undeliverable != want.Undeliverable {
			t.Fatalf("fate is %+v, of another key %+v", f, want)
		}
		troubles[fmt.Sprint(f.Troubles)] = true
	}
	if len(troubles) < 5 {
		t.Errorf("50 keys have the troubles %v", troubles)
	}
}

func TestEveryKeyIsAnsweredInTheEnd(t *testing.T) {
	t.Parallel()
	f := Options{TransientRate: 1}.fate(request{Key: "k", Order: "1"})
	if !slices.Equal(f.Troubles, []Trouble{Transient, Transient, Transient}) {
		t.Errorf("troubles are %v, want three", f.Troubles)
	}
}

func TestRulesStandAboveRates(t *testing.T) {
	t.Parallel()
	o := Options{DeclineRate: 1, UndeliverableRate: 1, TransientRate: 1, Rules: func(id string) (Fate, bool) { return Fate{}, id == "happy" }}
	if f := o.fate(request{Key: "k", Order: "happy"}); !reflect.DeepEqual(f, Fate{}) {
		t.Errorf("fate of the order with a rule is %+v, want none", f)
	}
	if f := o.fate(request{Key: "k", Order: "other"}); f.Declined == "" || f.Undeliverable == "" || len(f.Troubles) != 3 {
		t.Errorf("fate of the order without a rule is %+v, want that of the rates", f)
	}
}
