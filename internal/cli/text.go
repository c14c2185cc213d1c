package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/term"
)

const (
	red    = term.Red
	green  = term.Green
	yellow = term.Yellow
)

// printer writes lines to stdout, and keeps the first error.
type printer struct {
	o   *options
	err error
}

// Line prints a formatted line.
func (p *printer) Line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.o.stdout, format+"\n", args...)
	}
}

// next prints the command lines that may be next, without empty ones: typed returns "" for a line that cannot be typed.
func (p *printer) next(commands ...string) {
	label := "\nnext: "
	for _, c := range commands {
		if c != "" {
			p.Line("%s%s", label, c)
			label = "      "
		}
	}
}

// hint returns the end of a line with the next command, or "" if the command cannot be typed.
func hint(command string) string {
	if command == "" {
		return ""
	}
	return "; next: " + command
}

// Paint returns text in a colour, if stdout has colours.
func (p *printer) Paint(color, text string) string {
	if !p.o.color() {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable returns text without control characters, for one line of a terminal.
func printable(text string) string { return journal.Printable(text) }

// clip returns printable text of at most width characters.
func clip(text string, width int) string { return journal.Clip(text, width) }

// cleaned applies printable to each line of text, and keeps the indentation.
func cleaned(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		indent := len(l) - len(strings.TrimLeft(l, " \t"))
		lines[i] = l[:indent] + printable(l)
	}
	return strings.Join(lines, "\n")
}

// moment formats a time in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// count returns "1 event" or "2 events".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
