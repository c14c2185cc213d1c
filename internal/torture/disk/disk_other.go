//go:build !linux

package disk

import (
	"errors"
	"os/exec"
)

var errOther = errors.New("disk: only Linux can do this")

// Through returns an error: only Linux has seccomp.
func Through([]string) error { return errOther }

// Start returns an error: only Linux has seccomp.
func (d *Disk) Start(*exec.Cmd, ...string) error { return errOther }

// StartBy returns an error: only Linux has seccomp.
func (d *Disk) StartBy(*Clock, *exec.Cmd, ...string) error { return errOther }

// Available returns an error: only Linux has seccomp.
func Available() error { return errOther }
