package powercut

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Op is something that a process did to a file, or said on its standard output.
type Op struct {
	Kind   Kind
	Path   string
	Data   []byte // that was written, or said
	Offset int64  // of what was written; the new length of a file that was cut
	Begun  int    // lines of the trace: when it was called,
	Ended  int    // and when it returned
}

// Kind is what an Op is.
type Kind int

// Kinds of Ops.
const (
	Write Kind = iota
	Truncate
	Sync
	Say
)

// Strace is the command line, before the command itself, that writes a trace for Parse to a file.
func Strace(to string) []string {
	return []string{"strace", "-f", "-y", "-qq", "-xx", "-s", "16777216", "-e", "signal=none",
		"-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate", "-o", to}
}

var (
	result     = regexp.MustCompile(`\) += (\d+)$`)
	descriptor = regexp.MustCompile(`^(\d+)<((?:[^>\\]|\\.)*)>`)
)

// A call that another thread's comes in between of is in two parts.
const (
	unfinished = " <unfinished ...>"
	resumed    = " resumed>"
)

// Parse reads a trace. The ops come in the order in which they ended.
func Parse(r io.Reader) ([]Op, error) {
	type begun struct {
		text string
		at   int
	}
	open := map[string]begun{} // calls that have not returned, by thread
	var ops []Op
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 0; ; n++ {
		text, err := in.ReadString('\n')
		if err == io.EOF {
			return ops, nil
		}
		if err != nil {
			return nil, err
		}
		thread, text, _ := strings.Cut(strings.TrimRight(text, "\n"), " ")
		text, at := strings.TrimLeft(text, " "), n
		if before, ok := strings.CutSuffix(text, unfinished); ok {
			open[thread] = begun{before, n}
			continue
		}
		if strings.HasPrefix(text, "<...") {
			_, rest, _ := strings.Cut(text, resumed)
			text, at = open[thread].text+rest, open[thread].at
		}
		op, ok, err := parseCall(text)
		if err != nil {
			return nil, fmt.Errorf("powercut: line %d: %w", n+1, err)
		}
		if ok {
			op.Begun, op.Ended = at, n
			ops = append(ops, op)
		}
	}
}

// parseCall takes apart one call that succeeded.
func parseCall(text string) (op Op, ok bool, err error) {
	name, args, _ := strings.Cut(text, "(")
	ended := result.FindStringSubmatch(args[max(0, len(args)-40):])
	if ended == nil {
		return op, false, nil // it failed, or is something else
	}
	args = args[:strings.LastIndexByte(args, ')')]
	d := descriptor.FindStringSubmatch(args)
	if d == nil {
		return op, false, nil
	}
	if op.Path, err = unescape(d[2]); err != nil {
		return op, false, err
	}
	if from := strings.IndexByte(args, '"'); from >= 0 {
		data, err := unescape(args[from+1 : strings.LastIndexByte(args, '"')])
		if err != nil {
			return op, false, err
		}
		length, err := strconv.Atoi(ended[1])
		if err != nil || length > len(data) {
			return op, false, fmt.Errorf("%d bytes written, %d in the trace: %w", length, len(data), err)
		}
		op.Data = []byte(data[:length])
	}
	switch name {
	case "pwrite64", "ftruncate":
		op.Kind = Write
		if name == "ftruncate" {
			op.Kind = Truncate
		}
		op.Offset, err = strconv.ParseInt(strings.TrimSpace(args[strings.LastIndexByte(args, ',')+1:]), 0, 64)
		return op, true, err
	case "fsync", "fdatasync":
		op.Kind = Sync
		return op, true, nil
	case "write":
		op.Kind = Say
		return op, d[1] == "1", nil
	}
	return op, false, nil
}

// unescape decodes what -xx has made of text.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\x`) {
		return s, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	return string(b), err
}
