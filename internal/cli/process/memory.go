package process

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// LimitMemory sets the memory limit of the garbage collector from the limit of the container, so that the collector
// works harder before the kernel kills the process. GOMEMLIMIT overrides the limit.
//
// The heap of a journal is small, about 5 MB. With the default of GOGC, the collector runs 30 times a second under
// load, for an eighth of the processor time. Twice as much garbage costs about 10 MB. GOGC overrides the value.
func LimitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, ok := memoryLimit(os.DirFS("/")); ok {
		debug.SetMemoryLimit(limit)
	}
}

// memoryLimit returns nine tenths of the memory limit of the control groups of this process, version 2 or 1 (man 7
// cgroups). A tenth is for memory outside of Go, such as pages of SQLite. The smallest limit of a group and its parents
// applies.
func memoryLimit(root fs.FS) (limit int64, ok bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(parts) < 3 {
			continue
		}
		switch {
		case parts[1] == "":
			least = min(least, leastAbove(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			least = min(least, leastAbove(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	const unlimited = 1 << 60 // version 1 has a number near the largest for no limit
	if least >= unlimited {
		return 0, false
	}
	return least / 10 * 9, true
}

// leastAbove returns the smallest number in the files called name of group and its parents. In a container, the path of
// the group may be a path of the host that does not exist here: then only the root of the mount has the file.
func leastAbove(root fs.FS, mount, group, name string) int64 {
	least := int64(math.MaxInt64)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if text, err := fs.ReadFile(root, path.Join(mount, at, name)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // "max" is no number
				least = min(least, n)
			}
		}
		if at == "/" {
			return least
		}
	}
}
