package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

const traceLong = `trace draws causes and effects in a business flow: each event, below the event the reactions of
all modules, and below each reaction the emitted events. trace also shows deliveries that wait,
are blocked, are dead, or are being retried, with the time of the next attempt.

ID is the id of a flow, the id of an event in the flow, or a key: then trace draws all flows
with events of the key. trace draws the first 10,000 events of a flow;
'{name} events --flow ID --limit 0' lists all events.`

const traceExample = `  {name} trace ID
  {name} trace 0198c2a4-6f1e-7c3b-9d52-3f2a41b7c9e0 --journal {name}.db
  {name} trace ID --json | jq '.[].events[].reactions[] | select(.outcome != "done")'`

func newTraceCmd(o *options) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "trace ID", Short: "Draw a business flow as a tree",
		Long: traceLong, Example: traceExample,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return readJournal(cmd.Context(), path, func(r *sqlite.Reader) error { return trace(cmd.Context(), o, r, args[0]) })
		},
	}
	o.journalFlag(cmd, &path)
	return cmd
}

func trace(ctx context.Context, o *options, r *sqlite.Reader, id string) error {
	flows, err := readFlows(ctx, r, id)
	if err != nil {
		return err
	}
	if o.json {
		return o.printJSON(flows)
	}
	for i, f := range flows {
		if i > 0 {
			_, _ = fmt.Fprintln(o.stdout) // WriteTree returns the error of stdout
		}
		if err := f.WriteTree(o.stdout, journal.TreeOptions{Color: o.color()}); err != nil {
			return err
		}
	}
	var next []string
	for _, f := range flows {
		if f.Omitted > 0 {
			next = append(next, o.invocation(r.Path(), "events", "--flow", f.ID, "--limit", "0"))
			break
		}
	}
	if dead := firstDead(flows); dead > 0 {
		next = append(next, o.invocation(r.Path(), "dlq", "show", fmt.Sprint(dead)))
	}
	p := &printer{o: o}
	p.next(next...)
	return p.err
}

// firstDead returns the id of the first dead letter in flows that was neither replayed nor dropped, or 0.
func firstDead(flows []*journal.Flow) int64 {
	for _, f := range flows {
		for _, e := range f.Events {
			for _, r := range e.Reactions {
				if r.Outcome == journal.Dead {
					return r.DeadLetter
				}
			}
		}
	}
	return 0
}
