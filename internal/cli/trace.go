package cli

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

const traceLong = `trace draws what caused what in a business flow: each event, below it the reactions of
all modules to it, and below these the events that they emitted. What has not happened
yet is there too: what waits, what is being retried and when, what is blocked, what is dead.

ID is the id of a flow, the id of any event in it, or
the key of events: then all flows with events of that key are drawn. Of a flow of more than
10,000 events the first ones are drawn; '{name} events --flow ID --limit 0' lists all.`

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
			_, _ = fmt.Fprintln(o.stdout) // the tree below reports what is wrong with stdout
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

// readFlows returns the flows that id stands for. An observer gets events in the order in which they come by different topics:
// they are put in that of their times.
func readFlows(ctx context.Context, r *sqlite.Reader, id string) ([]*journal.Flow, error) {
	flows, err := r.Flow(ctx, id)
	if err != nil {
		return nil, err
	}
	observed, err := observes(ctx, r)
	if err != nil || !observed {
		return flows, err
	}
	for _, f := range flows {
		slices.SortStableFunc(f.Events, func(a, b journal.FlowEvent) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Hops, b.Hops))
		})
	}
	return flows, nil
}

// observes reports whether the journal is an observer's.
func observes(ctx context.Context, r *sqlite.Reader) (is bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		is, err = sqlite.Observes(ctx, tx)
		return err
	})
	return is, err
}

// firstDead is the id of a dead letter in flows that nobody has acted on, or 0.
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
