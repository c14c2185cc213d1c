package bustest

import "time"

// start is a moment at which a run begins.
type start struct {
	name string
	at   time.Time
}

// badStarts are the moments one second before the calendar changes: the end of a day, of a month, of February in a leap
// year and of a year, and the changes of summer time in the zones with summer time. By default, a run begins at the
// first moment of 2000 in UTC.
var badStarts = []start{
	{"a day ends", time.Date(2000, time.January, 1, 23, 59, 59, 0, time.UTC)},
	{"a month ends", time.Date(2000, time.April, 30, 23, 59, 59, 0, time.UTC)},
	{"February ends in a leap year", time.Date(2000, time.February, 29, 23, 59, 59, 0, time.UTC)},
	{"a year ends", time.Date(2000, time.December, 31, 23, 59, 59, 0, time.UTC)},
	{"summer time begins in Europe", time.Date(2000, time.March, 26, 0, 59, 59, 0, time.UTC)},
	{"summer time ends in Europe", time.Date(2000, time.October, 29, 0, 59, 59, 0, time.UTC)},
	{"summer time begins in New York", time.Date(2000, time.April, 2, 6, 59, 59, 0, time.UTC)},
	{"a day ends in Kathmandu", time.Date(2000, time.January, 1, 18, 14, 59, 0, time.UTC)},
}

// startOf returns the start of random schedule i, 0 for the default. Every fourth schedule begins at a bad moment.
func startOf(i int, without Part) int {
	if without&Starts != 0 || i%4 != 2 {
		return 0
	}
	return 1 + i/4%len(starts())
}

// begin moves the clock to the tape's start, and returns the story's line, "" for the default start.
func (t *tape) begin() string {
	if t.start <= 0 || t.start > len(starts()) {
		return ""
	}
	s := starts()[t.start-1]
	time.Sleep(time.Until(s.at))
	return "the run begins one second before " + s.name
}
