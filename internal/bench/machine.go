package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/internal/bench/work"
)

// Machine describes the computer of the measurements.
type Machine struct {
	CPUs   int     `json:"cpus"`
	CPU    string  `json:"cpu,omitempty"` // the model, if the system reports a model
	OS     string  `json:"os"`
	Arch   string  `json:"arch"`
	Go     string  `json:"go"`
	SQLite string  `json:"sqlite"`
	SyncMS float64 `json:"sync_ms"` // median time to write 4 KiB to a file and sync the file
}

// String describes m in a line.
func (m Machine) String() string {
	cpu := ""
	if m.CPU != "" {
		cpu = " (" + m.CPU + ")"
	}
	return fmt.Sprintf("%d CPUs%s, %s/%s, %s, SQLite %s; writing 4 KiB and syncing them takes %s ms", m.CPUs, cpu, m.OS, m.Arch, m.Go, m.SQLite, number(m.SyncMS))
}

// thisMachine describes the machine and the file system of folder.
func thisMachine(folder string) (Machine, error) {
	took, err := syncTime(filepath.Join(folder, "sync"))
	if err != nil {
		return Machine{}, err
	}
	version, _, _ := sqlite3.Version()
	return Machine{
		CPUs: runtime.NumCPU(), CPU: cpuModel(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Go: runtime.Version(), SQLite: version, SyncMS: work.Milliseconds(took),
	}, nil
}

// syncTime writes and syncs a file repeatedly, as SQLite does with its log.
func syncTime(path string) (_ time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	took := make([]time.Duration, 0, 100)
	page := make([]byte, 4096)
	for i := range cap(took) + 1 {
		started := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		if i > 0 { // the first write makes the file longer
			took = append(took, time.Since(started))
		}
	}
	return work.Percentile(took, 50), nil
}

// cpuModel returns Linux's name for the processor, or "" on other systems.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, model, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return ""
}
