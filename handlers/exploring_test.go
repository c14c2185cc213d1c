package handlers_test

import (
	"os"
	"strconv"
	"testing"
)

// schedules is how many a scenario is explored under: few in every run of the tests; `make explore` asks for thousands.
func schedules(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("TROUPE_SCHEDULES"))
	if err != nil && os.Getenv("TROUPE_SCHEDULES") != "" {
		t.Fatalf("TROUPE_SCHEDULES is %q: want a number", os.Getenv("TROUPE_SCHEDULES"))
	}
	return max(n, 84)
}
