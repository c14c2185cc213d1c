package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
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

// paint colours text where that is wanted.
func (p *printer) paint(color, text string) string {
	if !p.o.color() {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable makes text of any origin fit for one line of a terminal.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// clip is printable text in at most width characters.
func clip(text string, width int) string {
	r := []rune(printable(text))
	if len(r) <= width {
		return string(r)
	}
	return string(r[:width-1]) + "…"
}

// cents is an amount the way that people write it.
func cents(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
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
