package file

import "testing"

func TestReaderInTheListOfLocks(t *testing.T) {
	t.Parallel()
	const inode = 1234
	for line, want := range map[string]int{
		"3: POSIX  ADVISORY  READ 4711 08:01:1234 124 124":    4711,
		"3: POSIX  ADVISORY  READ 4711 08:01:1234 128 128":    0, // every connection
		"3: POSIX  ADVISORY  WRITE 4711 08:01:1234 120 120":   0, // the writer
		"3: POSIX  ADVISORY  READ 4711 08:01:91234 124 124":   0, // of another file
		"3: POSIX  ADVISORY  READ -1 08:01:1234 124 124":      0, // in another container
		"3: -> POSIX  ADVISORY  READ 4711 08:01:1234 124 124": 0, // that waits
		"": 0,
	} {
		if pid, ok := readsWith(line, inode); pid != want && ok || ok != (want > 0) {
			t.Errorf("%q: %d %v", line, pid, ok)
		}
	}
}
