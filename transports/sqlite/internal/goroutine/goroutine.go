// Package goroutine tells goroutines apart.
package goroutine

// Current is the same for all calls from one goroutine, and different for two goroutines that live at the same time. A goroutine that
// has ended may have had the number of one that began later. A call costs about a nanosecond on amd64 and arm64, and some microseconds
// elsewhere.
func Current() uintptr { return current() }
