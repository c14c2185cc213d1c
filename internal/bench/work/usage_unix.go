//go:build unix

package work

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// processorTime returns the user and system time of this process.
func processorTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

const mb = 1e6

// residentMB returns the resident memory of this process, now and at most, in millions of bytes. Only Linux reports
// the present value; elsewhere both values are the maximum.
func residentMB() (now, most float64, err error) {
	if runtime.GOOS != "linux" {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return 0, 0, fmt.Errorf("getrusage: %w", err)
		}
		unit := 1024.0
		if runtime.GOOS == "darwin" {
			unit = 1
		}
		return float64(u.Maxrss) * unit / mb, float64(u.Maxrss) * unit / mb, nil
	}
	status, err := os.ReadFile("/proc/self/status") // the maximum of getrusage includes the memory of the parent before exec
	if err != nil {
		return 0, 0, err
	}
	if now, err = kilobytes(status, "VmRSS:"); err != nil {
		return 0, 0, err
	}
	most, err = kilobytes(status, "VmHWM:")
	return now * 1024 / mb, most * 1024 / mb, err
}

// kilobytes returns the number in a line such as "VmRSS:    1234 kB".
func kilobytes(status []byte, name string) (float64, error) {
	for line := range bytes.Lines(status) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == name {
			return strconv.ParseFloat(string(f[1]), 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", name)
}
