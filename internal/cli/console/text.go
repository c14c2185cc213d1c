package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Printer writes lines to stdout, and keeps the first error.
type Printer struct {
	O   *Options
	Err error
}

// Line prints a formatted line.
func (p *Printer) Line(format string, args ...any) {
	if p.Err == nil {
		_, p.Err = fmt.Fprintf(p.O.Stdout, format+"\n", args...)
	}
}

// Next prints the command lines that may be next, without empty ones: Typed returns "" for a line that cannot be typed.
func (p *Printer) Next(commands ...string) {
	label := "\nnext: "
	for _, c := range commands {
		if c != "" {
			p.Line("%s%s", label, c)
			label = "      "
		}
	}
}

// Hint returns the end of a line with the next command, or "" if the command cannot be typed.
func Hint(command string) string {
	if command == "" {
		return ""
	}
	return "; next: " + command
}

// Paint returns text in a colour, if stdout has colours.
func (p *Printer) Paint(color, text string) string {
	if !p.O.Color() {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Printable returns text without control characters, for one line of a terminal.
func Printable(text string) string { return journal.Printable(text) }

// Clip returns printable text of at most width characters.
func Clip(text string, width int) string { return journal.Clip(text, width) }

// Cleaned applies Printable to each line of text, and keeps the indentation.
func Cleaned(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		indent := len(l) - len(strings.TrimLeft(l, " \t"))
		lines[i] = l[:indent] + Printable(l)
	}
	return strings.Join(lines, "\n")
}

// Moment formats a time in UTC.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// Count returns "1 event" or "2 events".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
