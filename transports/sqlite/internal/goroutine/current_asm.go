//go:build amd64 || arm64

package goroutine

// current is the address of what the runtime knows of the goroutine. It never moves.
func current() uintptr
