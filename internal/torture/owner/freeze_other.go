//go:build !unix

package owner

import "syscall"

// Pause and Resume have no effect: the system cannot freeze a process by a signal.
const (
	Pause  = syscall.Signal(-1)
	Resume = syscall.Signal(-1)
)
