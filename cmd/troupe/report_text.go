package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus/journal"
)

// shownWrong is the number of mistakes that a report shows as text.
const shownWrong = 20

// show writes the report. It returns an error, with exit code 1, if the audit found a mistake.
func (rep *report) show(c *troupe.Call[doors]) error {
	var err error
	if c.JSON {
		err = c.Print(rep)
	} else {
		var text strings.Builder
		rep.write(&text, c)
		_, err = io.WriteString(c.Out, text.String())
	}
	if err == nil && !rep.Verify.OK {
		err = fmt.Errorf("the books do not balance: %d problems", len(rep.Verify.Wrong))
	}
	return err
}

func (rep *report) write(w *strings.Builder, c *troupe.Call[doors]) {
	if rep.Import != nil {
		rep.Import.write(w)
	}
	rep.writeCounts(w)
	writeFlow(w, "An order that went straight through:", rep.straight, c)
	writeFlow(w, "An order that was cancelled, with its compensation:", rep.undone, c)
	rep.writeDead(w, c)
	rep.writeVerdict(w)
	rep.writeNext(w, c)
}

func (rep *report) writeCounts(w *strings.Builder) {
	fmt.Fprintf(w, "%d orders: %d completed, %d cancelled, %d returned", rep.Orders,
		rep.EndStates["completed"], rep.EndStates["cancelled"], rep.EndStates["returned"])
	if open := rep.EndStates["open"]; open > 0 {
		fmt.Fprintf(w, ", %d open", open)
	}
	fmt.Fprintf(w, "\n%d events, %d reactions, %d retries, %d dead letters\n", rep.Events, rep.Reactions, rep.Retries, rep.DeadLetters)
	if rep.Placed == 0 {
		fmt.Fprintf(w, "This run placed no new order. It took %.2f s.\n", rep.Seconds)
		return
	}
	fmt.Fprintf(w, "This run placed %d orders in %.2f s: %.0f flows/s, %.0f reactions/s", rep.Placed, rep.Seconds, rep.FlowsPerSecond, rep.ReactionsPerSecond)
	if l := rep.LatencyMS; l != nil {
		fmt.Fprintf(w, "; from placed to ended p50 %.1f ms, p95 %.1f ms, p99 %.1f ms", l.P50, l.P95, l.P99)
	}
	fmt.Fprintln(w)
}

func writeFlow(w *strings.Builder, title string, f *journal.Flow, c *troupe.Call[doors]) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	_ = f.WriteTree(w, journal.TreeOptions{Color: c.Color}) // a strings.Builder returns no error
}

func (rep *report) writeDead(w *strings.Builder, c *troupe.Call[doors]) {
	if rep.DeadLetters == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d dead letters:\n", rep.DeadLetters)
	for _, d := range rep.dead {
		fmt.Fprintf(w, "  %d  %s  %s  %s\n", d.ID, d.Subscription, journal.Printable(d.Event.Key), journal.Clip(d.Error, 120))
	}
	fmt.Fprintf(w, "See why, and try them again when the cause is gone:\n  %s\n  %s\n",
		c.Invocation("dlq", "list", "--causes"), c.Invocation("dlq", "replay", "--all"))
}

func (rep *report) writeVerdict(w *strings.Builder) {
	if rep.Verify.OK {
		fmt.Fprint(w, "\nVerified: every order ended once, stock and money balance, every customer was notified once,\n"+
			"and the books agree with the gateway and the carrier.\n")
		return
	}
	fmt.Fprintf(w, "\nWRONG, %d problems:\n", len(rep.Verify.Wrong))
	for _, what := range rep.Verify.Wrong[:min(shownWrong, len(rep.Verify.Wrong))] {
		fmt.Fprintf(w, "  %s\n", journal.Printable(what))
	}
	if more := len(rep.Verify.Wrong) - shownWrong; more > 0 {
		fmt.Fprintf(w, "  and %d more: --json lists them all\n", more)
	}
}

func (rep *report) writeNext(w *strings.Builder, c *troupe.Call[doors]) {
	fmt.Fprint(w, "\nNext:\n")
	for _, f := range []*journal.Flow{rep.straight, rep.undone} {
		if f != nil {
			writeCommand(w, c.Invocation("trace", f.ID))
		}
	}
	for _, args := range [][]string{{"events", "--type", "payment.declined"}, {"verify"}, {"run"}} {
		writeCommand(w, c.Invocation(args...))
	}
}

func writeCommand(w *strings.Builder, command string) {
	if command != "" {
		fmt.Fprintf(w, "  %s\n", command)
	}
}
