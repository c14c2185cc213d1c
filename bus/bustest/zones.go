package bustest

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// zoneVariable is the environment variable with the zone that a test binary explores. TZ has the same value.
const zoneVariable = "BUSTEST_ZONE"

// runZones runs the test in each of x.Zones, and reports whether to run the test in the current process, too.
// time.Local belongs to a process with many concurrent schedules. Therefore each zone gets its own process of the same
// test binary.
func (x Exploration) runZones(t *testing.T) (runHere bool) {
	t.Helper()
	if zone := os.Getenv(zoneVariable); zone != "" {
		if got := time.Local.String(); got != zone {
			t.Fatalf("bustest: TZ=%s gives the zone %s: install the time zone database", zone, got)
		}
		return slices.Contains(x.Zones, zone)
	}
	for _, zone := range x.Zones {
		if _, err := time.LoadLocation(zone); err != nil {
			t.Fatalf("bustest: Exploration.Zones: %v: use a name of the time zone database, such as Europe/Berlin", err)
		}
		cmd := exec.Command(os.Args[0], "-test.run="+exactly(t.Name()), "-test.count=1", "-test.timeout=30m")
		cmd.Env = append(os.Environ(), "TZ="+zone, zoneVariable+"="+zone)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "no tests to run") {
			t.Errorf("in the time zone %s: %v\n%s", zone, err, out)
		}
	}
	return x.Replay == "" || len(x.Zones) == 0
}

// exactly returns a pattern that matches only the test called name.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// starts returns the special moments for the start of a run. In a process for a zone, the moments include the zone's
// own calendar.
var starts = sync.OnceValue(func() []start {
	if zone := os.Getenv(zoneVariable); zone != "" {
		return slices.Concat(badStarts, startsIn(time.Local, zone))
	}
	return badStarts
})

// startsIn returns moments one second before a change: the end of a day, the end of a month, and each change of the
// zone's clocks in 2000.
func startsIn(zone *time.Location, name string) []start {
	found := []start{
		{"a day ends in " + name, time.Date(2000, time.January, 1, 23, 59, 59, 0, zone)},
		{"a month ends in " + name, time.Date(2000, time.January, 31, 23, 59, 59, 0, zone)},
	}
	const look = 15 * time.Minute // no zone changes twice within this time
	for at := time.Date(2000, time.January, 2, 0, 0, 0, 0, time.UTC); at.Year() == 2000; at = at.Add(look) {
		_, before := at.In(zone).Zone()
		if _, after := at.Add(look).In(zone).Zone(); after != before {
			found = append(found, start{"the clocks change in " + name, at.Add(look - time.Second)})
		}
	}
	return found
}
