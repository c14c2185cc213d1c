// Package inspect has the commands that show the events, flows and dead letters of a journal, and act on dead letters.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const eventsLong = `events lists the newest events of the journal, the newest last. With --follow, events also
shows new events, until you interrupt it. Another process may write the journal. With --json
each event is a line of JSON.`

const eventsExample = `  {name} events --limit 20
  {name} events --type TYPE --since 1h
  {name} events --key KEY
  {name} events --follow --json | jq .type`

// followPace is the time between two reads of the newest event, which is cheap: the end of an index.
const followPace = 200 * time.Millisecond

// eventList has the flags of events.
type eventList struct {
	journal string
	filter  sqlite.EventFilter
	since   console.SinceFlag
	follow  bool
}

// NewEventsCmd returns the command events.
func NewEventsCmd(o *console.Options) *cobra.Command {
	l := eventList{filter: sqlite.EventFilter{Newest: true}}
	cmd := &cobra.Command{
		Use: "events", Short: "List events, and follow them",
		Long: eventsLong, Example: eventsExample,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.filter.Limit < 0 {
				return console.UsageErrorf("--limit %d: want 1 or more, or 0 for all", l.filter.Limit)
			}
			l.filter.Since = l.since.Time
			return o.ReadJournal(cmd.Context(), l.journal, func(r *sqlite.Reader) error {
				return l.run(cmd.Context(), o, r)
			})
		},
	}
	o.JournalFlag(cmd, &l.journal)
	f := cmd.Flags()
	f.StringSliceVar(&l.filter.Types, "type", nil, "only events of this type; may be repeated")
	f.StringVar(&l.filter.Key, "key", "", "only events of this key")
	f.StringVar(&l.filter.Flow, "flow", "", "only events of the flow with this correlation id")
	f.Var(&l.since, "since", "only events since then: 30m, 24h, 2026-01-31T08:00:00Z")
	f.IntVar(&l.filter.Limit, "limit", 100, "only the newest events; 0 for all")
	f.BoolVarP(&l.follow, "follow", "f", false, "also show new events, until interrupted")
	console.Complete(cmd, "type", &l.journal, console.EventTypes)
	return cmd
}

func (l *eventList) run(ctx context.Context, o *console.Options, r *sqlite.Reader) error {
	write := printEvent
	if o.Json {
		write = printEventJSON
	}
	seen, err := console.Newest(ctx, r)
	if err != nil {
		return err
	}
	err = r.Events(ctx, l.filter, func(e *journal.Event) error {
		seen = max(seen, e.Seq)
		return write(o.Stdout, e)
	})
	if err != nil || !l.follow {
		return err
	}
	err = l.following(ctx, r, seen, func(e *journal.Event) error { return write(o.Stdout, e) })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // an interrupt is the normal end
	}
	return err
}

// following shows new events after seq seen until ctx ends.
func (l *eventList) following(
	ctx context.Context, r *sqlite.Reader, seen int64, show func(*journal.Event) error,
) error {
	f := l.filter
	f.Limit = 0
	tick := time.NewTicker(followPace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		head, err := console.Newest(ctx, r)
		if err != nil {
			return err
		}
		if head == seen {
			continue
		}
		f.AfterSeq = seen
		err = r.Events(ctx, f, func(e *journal.Event) error {
			head = max(head, e.Seq)
			return show(e)
		})
		if err != nil {
			return err
		}
		seen = head
	}
}

func printEvent(w io.Writer, e *journal.Event) error {
	flow := ""
	if e.CorrelationID != e.Key {
		flow = "  flow " + console.Printable(e.CorrelationID)
	}
	r := journal.NewEventRecord(e)
	about := r.Payload()
	if about != "" {
		about = "  (" + about + ")"
	}
	line := fmt.Sprintf("%7d  %s  %-24s %-20s%s%s", e.Seq, e.Time.Format("2006-01-02 15:04:05.000Z"), console.Printable(e.Type),
		console.Printable(e.Key), flow, about)
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

func printEventJSON(w io.Writer, e *journal.Event) error {
	j := json.NewEncoder(w)
	j.SetEscapeHTML(false)
	return j.Encode(journal.NewEventRecord(e))
}
