package moves

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// printMove returns a function that prints the proof of a move with options, and the next command lines.
func printMove(ctx context.Context, o *console.Options, options *move.Options) func(*move.Proof, error) error {
	return func(p *move.Proof, err error) error {
		err = hinted(o, options, err)
		if p == nil || err != nil && len(p.Lines) == 0 {
			return err
		}
		if o.Json {
			return errors.Join(err, o.PrintJSON(p))
		}
		t := &proofText{Printer: console.Printer{O: o}, proof: p}
		var lost error // of nextSteps, which does not change the result
		if err == nil && !p.DryRun && p.Act != "undo" {
			t.next, lost = nextSteps(ctx, o, p)
		}
		return errors.Join(err, t.print(err == nil), lost)
	}
}

// proofText prints a proof for people.
type proofText struct {
	console.Printer
	proof *move.Proof
	next  []string // command lines or advice
}

func (t *proofText) print(holds bool) error {
	p := t.proof
	modules := strings.Join(p.Modules, ", ")
	switch {
	case p.Act == "undo":
		t.Line("the %s of %s is undone: %s is as before", p.Undoes, modules, console.Printable(p.Journal))
	case p.Act == "split":
		t.Line("split %s off %s into %s", modules, console.Printable(p.Journal), console.Printable(p.Other))
	default:
		t.Line("merged %s of %s into %s", modules, console.Printable(p.Other), console.Printable(p.Journal))
	}
	if p.Again {
		t.Line("the move took place at %s: nothing was done now", console.Moment(p.At))
	}
	t.Line("")
	if err := errors.Join(t.Err, t.table()); err != nil {
		return err
	}
	t.Line("")
	switch {
	case p.DryRun:
		t.Line("nothing was done: these are the present counts")
	case holds && len(p.Wrong()) == 0:
		t.Line("%s", t.Paint(term.Green, "nothing was lost or doubled: "+t.totals()))
	default:
		t.Line("%s", t.Paint(term.Red, "the counts differ: see above"))
	}
	t.printNext()
	return t.Err
}

// table prints a line for each kind of rows: the numbers of moved and of remaining rows, with checksums. If a number
// or a checksum differs after the move, the line has both.
func (t *proofText) table() error {
	w := tabwriter.NewWriter(t.O.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHAT\tMOVED\tCHECKSUM\tSTAYED\tCHECKSUM") // Flush returns the error
	for _, l := range t.proof.Lines {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", console.Printable(l.What), t.pair(l.Moved), t.pair(l.Stayed))
	}
	return w.Flush()
}

func (t *proofText) pair(p move.Pair) string {
	one := func(s move.Sum) string {
		if s.Rows == 0 {
			return "0\t"
		}
		return thousands(s.Rows) + "\t" + s.Digest.String()[:12]
	}
	if t.proof.DryRun || p.Before == p.After {
		return one(p.Before)
	}
	return fmt.Sprintf("%s, now %s\t%.12s, now %.12s", thousands(p.Before.Rows), thousands(p.After.Rows), p.Before.Digest, p.After.Digest)
}

// totals returns the numbers of rows in both journals together. After a split, the old journal still has all events, so
// these are counted once.
func (t *proofText) totals() string {
	counts := map[string]int64{}
	for _, l := range t.proof.Lines {
		kind, _, _ := strings.Cut(l.What, " ")
		if status, ok := strings.CutPrefix(l.What, "dead letters "); ok && (status == "replayed" || status == "dropped") {
			kind = "ended letters"
		} else if ok || l.What == "dead letters" {
			kind = "dead letters"
		}
		switch {
		case l.What == "events":
			counts[kind] = l.Stayed.After.Rows
		case kind != "events": // other lines about events count some events again
			counts[kind] += l.Moved.After.Rows + l.Stayed.After.Rows
		}
	}
	var parts []string
	for _, c := range []struct{ kind, one, more string }{
		{"events", "event", "events"}, {"deliveries", "delivery", "deliveries"}, {"waiting", "waiting", "waiting"}, {"pending", "pending", "pending"},
		{"dead letters", "dead letter", "dead letters"},
		{"ended letters", "replayed or dropped", "replayed or dropped"}, {"delayed", "delayed event", "delayed events"}, {"table", "row of modules' tables", "rows of modules' tables"},
	} {
		if c.kind == "ended letters" && counts[c.kind] == 0 {
			continue
		}
		name := c.more
		if counts[c.kind] == 1 {
			name = c.one
		}
		parts = append(parts, thousands(counts[c.kind])+" "+name)
	}
	return strings.Join(parts, ", ")
}

// printNext prints the next command lines.
func (t *proofText) printNext() {
	p := t.proof
	label := "next: "
	for _, line := range t.next {
		t.Line("%s%s", label, line)
		label = "      "
	}
	if len(t.next) == 0 {
		return
	}
	if p.Act == "merge" {
		t.Line("      %s can be removed", console.Printable(console.Here(p.Other)))
	}
	if p.Backup != "" {
		t.Line("undo: %s; when you are content, remove %s", t.O.Invocation(p.Journal, p.Act, "--undo"), console.Printable(console.Here(p.Backup)))
	}
}

// thousands returns n with a comma between each three digits.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
