package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

func newDLQShowCmd(o *console.Options) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter with its event, error and history",
		Long:    "show prints a dead letter: the event with its payload, the error of the last attempt, the\nstack of a panic, and every replay or drop.",
		Example: "  {name} dlq show 3\n  {name} dlq show 3 --json | jq .event.data",
		Args:    console.UsageArgs(cobra.ExactArgs(1)), ValidArgsFunction: completeLetters(&path),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := letterIDs(o, args)
			if err != nil {
				return err
			}
			return o.ReadJournal(cmd.Context(), path, func(r *sqlite.Reader) error {
				d, err := r.DeadLetter(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				if o.Json {
					return o.PrintJSON(d)
				}
				observed, err := console.Observes(cmd.Context(), r)
				if err != nil {
					return err
				}
				return showLetter(o, d, r.Path(), observed)
			})
		},
	}
	o.JournalFlag(cmd, &path)
	return cmd
}

// showLetter prints d and the next commands. An observer cannot replay or drop dead letters.
func showLetter(o *console.Options, d *journal.DeadLetter, path string, observed bool) error {
	p := &console.Printer{O: o}
	p.Line("dead letter   %d of %s, %s", d.ID, console.Printable(d.Subscription), status(p, d.Status))
	p.Line("error         %s", console.Printable(d.Error))
	p.Line("attempts      %d, from %s to %s", d.Attempts, console.Moment(d.FirstFailed), console.Moment(d.DeadAt))
	e := &d.Event
	p.Line("event         %s version %d, key %s", console.Printable(e.Type), e.Version, console.Printable(e.Key))
	p.Line("              %s, number %d of the journal, published %s", console.Printable(e.ID), e.Seq, console.Moment(e.Time))
	p.Line("flow          %s", console.Printable(e.CorrelationID))
	for _, line := range payload(e) {
		p.Line("  %s", line)
	}
	if d.Stack != "" {
		p.Line("stack")
		for line := range strings.Lines(d.Stack) {
			p.Line("  %s", strings.Replace(console.Cleaned(strings.TrimRight(line, "\n")), "\t", "  ", 1))
		}
	}
	for _, a := range d.Acts {
		p.Line("%-13s by %s at %s: %s", a.Act, console.Printable(a.Actor), console.Moment(a.At), console.Printable(a.Reason))
	}
	id := fmt.Sprint(d.ID)
	next := []string{o.Invocation(path, "trace", e.CorrelationID)}
	dead := d.Status == journal.LetterDead
	if dead && !observed {
		next = append(next, o.Invocation(path, "dlq", "replay", id, "--reason", "why"), o.Invocation(path, "dlq", "drop", id, "--reason", "why"))
	}
	p.Next(next...)
	switch {
	case dead && observed && d.Subscription == "bus/ingest":
		p.Line("      let the deployables send the event again: stop each, %s, start it; then", o.Invocation("JOURNAL", "resend"))
		p.Line("      %s", o.Invocation(path, "dlq", "drop", id, "--reason", "sent again"))
	case dead && observed:
		p.Line("      replay or drop the dead letter on the journal of the deployable that runs %s", console.Printable(d.Subscription))
	}
	return p.Err
}

// status returns s in its colour.
func status(p *console.Printer, s journal.LetterStatus) string {
	color := map[journal.LetterStatus]string{
		journal.LetterDead: term.Red, journal.LetterReplaying: term.Yellow, journal.LetterReplayed: term.Green, journal.LetterDropped: "2",
	}[s]
	return p.Paint(color, string(s))
}

// payload returns the payload of e as lines of text. An encrypted payload has readable parts.
func payload(e *journal.EventRecord) (lines []string) {
	if about := e.Payload(); about != "" {
		lines = append(lines, "("+about+")")
	}
	if e.Data == nil {
		if text := string(e.DataBase64); text != "" && utf8.ValidString(text) {
			lines = append(lines, fmt.Sprintf("%.500q", text))
		}
		return lines
	}
	var b bytes.Buffer
	if err := json.Indent(&b, e.Data, "", "  "); err != nil {
		return append(lines, console.Printable(string(e.Data)))
	}
	for l := range strings.SplitSeq(b.String(), "\n") {
		indent := len(l) - len(strings.TrimLeft(l, " "))
		lines = append(lines, l[:indent]+console.Printable(l))
	}
	return lines
}
