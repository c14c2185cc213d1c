// Package goroutine identifies goroutines.
package goroutine

// Current returns the same number for all calls from a goroutine, and different numbers for two goroutines that live at
// the same time. A goroutine that begins later may get the number of a goroutine that has ended. A call costs about a
// nanosecond on amd64 and arm64, and some microseconds elsewhere.
func Current() uintptr { return current() }
