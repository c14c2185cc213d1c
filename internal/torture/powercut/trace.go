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

// Op is an operation of a process on a file, or an output on its standard output.
type Op struct {
	Kind   Kind
	Path   string
	Data   []byte // written data, or the output
	Offset int64  // offset of a write; new length of a truncated file
	Begun  int    // line of the trace with the call
	Ended  int    // line of the trace with the return
}

// Kind is the kind of an Op.
type Kind int

// Kinds of Ops.
const (
	Write Kind = iota
	Truncate
	Sync
	Say
)

// Strace returns the start of a command line, to be followed by the traced command. The trace for Parse goes to a
// file.
func Strace(to string) []string {
	return []string{"strace", "-f", "-y", "-qq", "-xx", "-s", "16777216", "-e", "signal=none",
		"-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate", "-o", to}
}

var (
	result     = regexp.MustCompile(`\) += (\d+)$`)
	descriptor = regexp.MustCompile(`^(\d+)<((?:[^>\\]|\\.)*)>`)
)

// strace prints a call in two parts when calls of other threads happen in between.
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

// parseCall parses a call. It reports false for a call that failed, or of no interest.
func parseCall(text string) (op Op, ok bool, err error) {
	name, args, _ := strings.Cut(text, "(")
	ended := result.FindStringSubmatch(args[max(0, len(args)-40):])
	if ended == nil {
		return op, false, nil // the call failed, or the line is no call
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

// unescape decodes the output of strace -xx.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\x`) {
		return s, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	return string(b), err
}
