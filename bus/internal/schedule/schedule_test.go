package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/troupebus/troupe/bus/internal/schedule"
)

const quarter = 15 * time.Minute

// The due times of 20 years, in five zones with their clock changes, are those at which a clock of the zone shows them,
// and those of robfig/cron, except around a change of the clock.
func TestTwentyYears(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for spec, shows := range map[string]func(t time.Time) bool{
			"30 2 * * *":     func(t time.Time) bool { return t.Hour() == 2 && t.Minute() == 30 },
			"0 0 * * *":      func(t time.Time) bool { return t.Hour() == 0 && t.Minute() == 0 },
			"15 * * * 0":     func(t time.Time) bool { return t.Minute() == 15 && t.Weekday() == time.Sunday },
			"0 3 29 2 *":     func(t time.Time) bool { return t.Hour() == 3 && t.Minute() == 0 && t.Day() == 29 && t.Month() == 2 },
			"45 1,23 31 * *": func(t time.Time) bool { return (t.Hour() == 1 || t.Hour() == 23) && t.Minute() == 45 && t.Day() == 31 },
		} {
			t.Run(zone+" "+spec, func(t *testing.T) {
				t.Parallel()
				times, err := schedule.Parse("CRON_TZ=" + zone + " " + spec)
				if err != nil {
					t.Fatal(err)
				}
				other, err := cron.ParseStandard("CRON_TZ=" + zone + " " + spec)
				if err != nil {
					t.Fatal(err)
				}
				at := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
				next, robfigs := times.Next(at), other.Next(at)
				for end := at.AddDate(20, 0, 0); at.Before(end); {
					if at = at.Add(quarter); !shows(at.In(loc)) {
						continue
					}
					if !next.Equal(at) {
						t.Fatalf("due at %v, want %v", next.In(loc), at.In(loc))
					}
					next = times.Next(at)
					if !robfigs.Equal(at) && !changesAround(at, loc) {
						t.Fatalf("due at %v, by robfig/cron at %v", at.In(loc), robfigs.In(loc))
					}
					robfigs = other.Next(at)
				}
			})
		}
	}
}

// changesAround reports whether the clock of loc changes within two days of t.
func changesAround(t time.Time, loc *time.Location) bool {
	_, before := t.AddDate(0, 0, -2).In(loc).Zone()
	_, after := t.AddDate(0, 0, 2).In(loc).Zone()
	return before != after
}

func TestDurations(t *testing.T) {
	t.Parallel()
	times, err := schedule.Parse("1h30m")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 30, 17, 13, 0, 1, time.UTC)
	for _, want := range []string{"18:00", "19:30", "21:00"} {
		if at = times.Next(at); at.Format("15:04") != want {
			t.Errorf("due at %v, want %s", at, want)
		}
	}
}

func TestSpecifications(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"":                            "neither a duration",
		"10ms":                        "want a duration from 1s",
		"-1h":                         "want a duration from 1s",
		"200000h":                     "want a duration from 1s",
		"@every 1h":                   "write the duration alone",
		"0 3 30 2 *":                  "never due",
		"0 25 * * *":                  "neither a duration",
		"0 0 3 * * *":                 "neither a duration",
		"TZ=UTC":                      "a time zone without a time",
		"CRON_TZ=Mars/Base 0 * * * *": "neither a duration",
	} {
		if _, err := schedule.Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
	if _, err := schedule.Parse("@daily"); err != nil {
		t.Error(err)
	}
}

// Of the due times that passed, all count, or the last, or the last if it is not long ago. All are decided once.
func TestMissed(t *testing.T) {
	t.Parallel()
	times, err := schedule.Parse("1h")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		m      schedule.Missed
		passed time.Duration
		want   string
	}{
		{schedule.All, 3*time.Hour + time.Second, "01 02 03 upto 03 without 0"},
		{schedule.Last, 3*time.Hour + 59*time.Minute, "03 upto 03 without 2"},
		{schedule.None, 3*time.Hour + schedule.Grace, "03 upto 03 without 2"},
		{schedule.None, 3*time.Hour + 2*schedule.Grace, "upto 03 without 3"},
		{schedule.Last, 59 * time.Minute, "upto 00 without 0"},
		{schedule.All, -time.Hour, "upto 00 without 0"},
	} {
		due, upto, passed := schedule.Due(times, c.m, start, start.Add(c.passed))
		got := ""
		for _, d := range due {
			got += d.Format("15 ")
		}
		if got += fmt.Sprintf("upto %s without %d", upto.Format("15"), passed); got != c.want {
			t.Errorf("%d after %v: %s, want %s", c.m, c.passed, got, c.want)
		}
	}
	due, upto, _ := schedule.Due(times, schedule.All, start, start.AddDate(1, 0, 0))
	if len(due) != 100 || !upto.Equal(due[99]) {
		t.Errorf("%d due times up to %v", len(due), upto)
	}
}
