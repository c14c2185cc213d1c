//go:build !linux

package disk

import (
	"errors"
	"os/exec"
)

var errOther = errors.New("disk: only Linux can do this")

// Through is an error: only Linux can do this.
func Through([]string) error { return errOther }

// Start is an error: only Linux can do this.
func (d *Disk) Start(*exec.Cmd, ...string) error { return errOther }

// StartBy is an error: only Linux can do this.
func (d *Disk) StartBy(*Clock, *exec.Cmd, ...string) error { return errOther }

// Available says why processes cannot be put on a Disk here.
func Available() error { return errOther }
