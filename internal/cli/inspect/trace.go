package inspect

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
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

// NewTraceCmd returns the command trace.
func NewTraceCmd(o *console.Options) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "trace ID", Short: "Draw a business flow as a tree",
		Long: traceLong, Example: traceExample,
		Args:              console.UsageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ReadJournal(cmd.Context(), path, func(r *sqlite.Reader) error {
				return trace(cmd.Context(), o, r, args[0])
			})
		},
	}
	o.JournalFlag(cmd, &path)
	return cmd
}

func trace(ctx context.Context, o *console.Options, r *sqlite.Reader, id string) error {
	flows, err := console.ReadFlows(ctx, r, id)
	if err != nil {
		return err
	}
	if o.Json {
		return o.PrintJSON(flows)
	}
	for i, f := range flows {
		if i > 0 {
			_, _ = fmt.Fprintln(o.Stdout) // WriteTree returns the error of stdout
		}
		if err := f.WriteTree(o.Stdout, journal.TreeOptions{Color: o.Color()}); err != nil {
			return err
		}
	}
	var next []string
	for _, f := range flows {
		if f.Omitted > 0 {
			next = append(next, o.Invocation(r.Path(), "events", "--flow", f.ID, "--limit", "0"))
			break
		}
	}
	if dead := firstDead(flows); dead > 0 {
		next = append(next, o.Invocation(r.Path(), "dlq", "show", fmt.Sprint(dead)))
	}
	p := &console.Printer{O: o}
	p.Next(next...)
	return p.Err
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
