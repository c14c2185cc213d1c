package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Colours of text, as parameters of ANSI's SGR.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// printer writes lines for people to stdout, and keeps the first error.
type printer struct {
	o   *options
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.o.stdout, format+"\n", args...)
	}
}

// next tells what to type next, each command line on a line of its own. One that has something in it that cannot be typed is left out.
func (p *printer) next(commands ...string) {
	label := "\nnext: "
	for _, c := range commands {
		if c != "" {
			p.line("%s%s", label, c)
			label = "      "
		}
	}
}

// hint is the end of a line that says what to type next; nothing where that cannot be typed.
func hint(command string) string {
	if command == "" {
		return ""
	}
	return "; next: " + command
}

// paint colours text where that is wanted.
func (p *printer) paint(color, text string) string {
	if !p.o.color() {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable makes text of any origin fit for one line of a terminal.
func printable(text string) string { return journal.Printable(text) }

// clip is printable text in at most width characters.
func clip(text string, width int) string { return journal.Clip(text, width) }

// cleaned is a message of several lines, each of them printable and indented as before.
func cleaned(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		indent := len(l) - len(strings.TrimLeft(l, " \t"))
		lines[i] = l[:indent] + printable(l)
	}
	return strings.Join(lines, "\n")
}

// moment is a point in time, in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// count is "1 event" or "2 events".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
