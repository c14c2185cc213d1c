package work

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tt := range []struct {
		of      []time.Duration
		percent int
		want    time.Duration
	}{
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1},
		{[]time.Duration{7}, 50, 7}, {[]time.Duration{7}, 99, 7}, {[]time.Duration{3, 1, 2}, 50, 2}, {[]time.Duration{3, 1, 2}, 99, 3},
	} {
		if got := Percentile(slices.Clone(tt.of), tt.percent); got != tt.want {
			t.Errorf("%d %% of %v is %d, want %d", tt.percent, tt.of, got, tt.want)
		}
	}
}

func TestFiguresMustBeMeasured(t *testing.T) {
	t.Parallel()
	f := Figures{"good": 2, "zero": 0, "negative": -1, "infinite": math.Inf(1), "none": math.NaN()}
	for _, name := range []string{"zero", "negative", "infinite", "none", "missing"} {
		if v, err := f.Get(name); err == nil {
			t.Errorf("%s is %v", name, v)
		}
	}
	if v, err := f.Get("good"); v != 2 || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}
