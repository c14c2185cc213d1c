package row

import "time"

// The first and the last instant that RFC 3339 can write, and so JSON and every other program can read.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Microsecond)
)

// Time returns the time of a column, which has Unix microseconds. Another program may have written any number: a time
// that RFC 3339 cannot write becomes the nearest time that RFC 3339 can write.
func Time(n int64) time.Time {
	return time.UnixMicro(min(max(n, earliest.UnixMicro()), latest.UnixMicro())).UTC()
}

// TimeOrZero is Time, and returns the zero time for 0.
func TimeOrZero(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return Time(n)
}

// Micros returns t as a column has a time: Unix microseconds, and 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// TextOrNull returns s, or nil (NULL) when s is empty.
func TextOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
