package file

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A reader locks one of these bytes of the -shm file while reading (https://www.sqlite.org/walformat.html, section
// 2.3.1).
const firstReadMark, lastReadMark = 123, 127

// WhoReads names the processes that read the journal at path now, from the kernel's list of locks.
func WhoReads(path string) string {
	var st syscall.Stat_t
	if syscall.Stat(path+"-shm", &st) != nil {
		return unknownReader
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return unknownReader
	}
	defer func() { _ = f.Close() }() // only read
	var found []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		pid, ok := readsWith(lines.Text(), st.Ino)
		if !ok {
			continue
		}
		name := fmt.Sprintf("process %d%s", pid, commandOf(pid))
		if pid == os.Getpid() {
			name = "this process (a View that goes on)"
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return unknownReader
	}
	return strings.Join(found, ", ")
}

// readsWith parses a line of /proc/locks such as "3: POSIX  ADVISORY  READ 4711 08:01:1234 124 124".
func readsWith(line string, inode uint64) (pid int, ok bool) {
	f := strings.Fields(line)
	if len(f) != 8 || f[1] != "POSIX" || f[3] != "READ" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(inode, 10)) {
		return 0, false
	}
	from, err := strconv.Atoi(f[6])
	if err != nil || from < firstReadMark || from > lastReadMark {
		return 0, false
	}
	pid, err = strconv.Atoi(f[4])
	return pid, err == nil && pid > 0
}

func commandOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%s)", strings.TrimSpace(string(b)))
}
