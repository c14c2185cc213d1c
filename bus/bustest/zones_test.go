package bustest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// days books the day of an event, by the local calendar, and whatever else of it must be the same in every schedule.
func days(of func(at time.Time) int) bustest.System[stall] {
	return mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "book", func(ctx context.Context, e opened) (bus.Events, error) {
			return nil, insert(ctx, e.ID, of(bus.Delivery(ctx).Time))
		})
	})
}

// The mistakes that TestZones has found, each in a process that fails: they are right in UTC.
var wrongDays = map[string]func(at time.Time) int{
	"a day by two calendars": func(at time.Time) int { return at.Local().YearDay() - at.UTC().YearDay() },
	"a day of 24 hours": func(at time.Time) int {
		at = at.Local()
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.Local)
		return midnight.Add(24*time.Hour).Day() - midnight.AddDate(0, 0, 1).Day()
	},
}

func exploreDays(t *testing.T, of func(at time.Time) int) {
	t.Helper()
	x := bustest.Exploration{
		Schedules: 100, Same: rows, Zones: []string{"Asia/Kathmandu", "America/New_York"},
		Without: bustest.Crashes | bustest.Troubles | bustest.Pauses | bustest.Again,
	}
	bustest.Explore(t, days(of), x, func(app *bustest.App[stall]) { open(app, "a") })
}

// TestWrongDays fails, when TestZones runs it.
func TestWrongDays(t *testing.T) {
	t.Parallel()
	of := wrongDays[os.Getenv("BUSTEST_WRONG_DAY")]
	if of == nil {
		return // it is a part of TestZones
	}
	exploreDays(t, of)
}

// A right program is right in each zone.
func TestRightDays(t *testing.T) {
	t.Parallel()
	exploreDays(t, func(at time.Time) int { return at.UTC().Year() - 2000 })
}

// Time zones and their summer time are explored, each in a process.
func TestZones(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"a day by two calendars": {"in the time zone Asia/Kathmandu", "the final state depends on the schedule", `Zones: []string{"Asia/Kathmandu"}`},
		"a day of 24 hours": {
			"in the time zone America/New_York", "the run begins one second before the clocks change in America/New_York",
			"the final state depends on the schedule",
		},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongDays$", "-test.count=1")
		cmd.Env = append(os.Environ(), "TZ=UTC", "BUSTEST_WRONG_DAY="+name)
		out, err := cmd.CombinedOutput()
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: it does not say %q: %v\n%s", name, w, err, out)
			}
		}
	}
}
