package cli

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory tells the garbage collector how much memory the container has, so that it works harder before the kernel ends the
// process. GOMEMLIMIT, where it is set, holds instead.
//
// A journal's heap is so small, some 5 MB, that the collector's default has it run 30 times a second under load, for an eighth of the
// processor's time. Twice the garbage costs some 10 MB. GOGC, where it is set, holds instead.
func limitMemory() {
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

// memoryLimit is nine tenths of what the control groups of this process allow it: version 2 or 1 (man 7 cgroups). The rest is for what
// is not Go's, such as SQLite's pages. The tightest of a group and those above it holds.
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
	const none = 1 << 60 // version 1 says no limit with a number near the largest
	if least >= none {
		return 0, false
	}
	return least / 10 * 9, true
}

// leastAbove is the smallest number in a file called name, in group and all groups above it. In a container the path of the group
// may be one of the host, where there is nothing: then the root of what is mounted is looked at.
func leastAbove(root fs.FS, mount, group, name string) int64 {
	least := int64(math.MaxInt64)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if text, err := fs.ReadFile(root, path.Join(mount, at, name)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // "max" is none
				least = min(least, n)
			}
		}
		if at == "/" {
			return least
		}
	}
}
