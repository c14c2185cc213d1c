package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

func newDLQShowCmd(o *options) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter with its event, error and history",
		Long:    "show prints a dead letter: the event with its payload, the error of the last attempt, the\nstack of a panic, and every replay or drop.",
		Example: "  {name} dlq show 3\n  {name} dlq show 3 --json | jq .event.data",
		Args:    usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: completeLetters(&path),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := o.letterIDs(args)
			if err != nil {
				return err
			}
			return readJournal(cmd.Context(), path, func(r *sqlite.Reader) error {
				d, err := r.DeadLetter(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				if o.json {
					return o.printJSON(d)
				}
				observed, err := observes(cmd.Context(), r)
				if err != nil {
					return err
				}
				return showLetter(o, d, r.Path(), observed)
			})
		},
	}
	o.journalFlag(cmd, &path)
	return cmd
}

// showLetter prints d and the next commands. An observer cannot replay or drop dead letters.
func showLetter(o *options, d *journal.DeadLetter, path string, observed bool) error {
	p := &printer{o: o}
	p.Line("dead letter   %d of %s, %s", d.ID, printable(d.Subscription), p.status(d.Status))
	p.Line("error         %s", printable(d.Error))
	p.Line("attempts      %d, from %s to %s", d.Attempts, moment(d.FirstFailed), moment(d.DeadAt))
	e := &d.Event
	p.Line("event         %s version %d, key %s", printable(e.Type), e.Version, printable(e.Key))
	p.Line("              %s, number %d of the journal, published %s", printable(e.ID), e.Seq, moment(e.Time))
	p.Line("flow          %s", printable(e.CorrelationID))
	for _, line := range payload(e) {
		p.Line("  %s", line)
	}
	if d.Stack != "" {
		p.Line("stack")
		for line := range strings.Lines(d.Stack) {
			p.Line("  %s", strings.Replace(cleaned(strings.TrimRight(line, "\n")), "\t", "  ", 1))
		}
	}
	for _, a := range d.Acts {
		p.Line("%-13s by %s at %s: %s", a.Act, printable(a.Actor), moment(a.At), printable(a.Reason))
	}
	id := fmt.Sprint(d.ID)
	next := []string{o.invocation(path, "trace", e.CorrelationID)}
	dead := d.Status == journal.LetterDead
	if dead && !observed {
		next = append(next, o.invocation(path, "dlq", "replay", id, "--reason", "why"), o.invocation(path, "dlq", "drop", id, "--reason", "why"))
	}
	p.next(next...)
	switch {
	case dead && observed && d.Subscription == "bus/ingest":
		p.Line("      let the deployables send the event again: stop each, %s, start it; then", o.invocation("JOURNAL", "resend"))
		p.Line("      %s", o.invocation(path, "dlq", "drop", id, "--reason", "sent again"))
	case dead && observed:
		p.Line("      replay or drop the dead letter on the journal of the deployable that runs %s", printable(d.Subscription))
	}
	return p.err
}

// status returns s in its colour.
func (p *printer) status(s journal.LetterStatus) string {
	color := map[journal.LetterStatus]string{
		journal.LetterDead: red, journal.LetterReplaying: yellow, journal.LetterReplayed: green, journal.LetterDropped: "2",
	}[s]
	return p.Paint(color, string(s))
}

// payload returns the payload of e as lines of text.
func payload(e *journal.EventRecord) []string {
	if e.Data == nil {
		return []string{fmt.Sprintf("(not JSON, %d bytes) %.500q", len(e.DataBase64), e.DataBase64)}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, e.Data, "", "  "); err != nil {
		return []string{printable(string(e.Data))}
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		indent := len(l) - len(strings.TrimLeft(l, " "))
		lines[i] = l[:indent] + printable(l)
	}
	return lines
}
