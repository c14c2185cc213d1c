//go:build unix

package owner

import "syscall"

// Pause freezes a process, and Resume lets the process go on.
const (
	Pause  = syscall.SIGSTOP
	Resume = syscall.SIGCONT
)
