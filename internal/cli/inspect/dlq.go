package inspect

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const dlqLong = `A dead letter is an event that a subscription could not process: the last attempt failed, or
the handler gave up. The journal keeps the event and the error until a person replays the
dead letter, to this subscription only, or drops it. The journal records who did this, when
and why. Both are possible while {name} runs.`

const dlqExample = `  {name} dlq list --causes
  {name} dlq show 3
  {name} dlq replay --subscription {module}/HANDLER --reason "the server is back"
  {name} dlq drop 3 --reason "a test"`

// NewDLQCmd returns the command dlq.
func NewDLQCmd(o *console.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "List, show, replay and drop dead letters",
		Long: dlqLong, Example: dlqExample,
		Args: console.OnlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDLQListCmd(o), newDLQShowCmd(o), newDLQReplayCmd(o), newDLQDropCmd(o), newDLQRetryCmd(o))
	return cmd
}

// letterList has the flags of dlq list.
type letterList struct {
	journal string
	status  string
	since   console.SinceFlag
	causes  bool
	filter  sqlite.DeadLetterFilter
}

const dlqListLong = `list shows the newest 100 dead letters that were neither replayed nor dropped. --status and
--limit select others. '{name} dlq show' has the payload of the event. With --causes, list
groups all dead letters by subscription and error; # stands for each word that differs,
such as an id or an amount.`

// listed is the default of --limit.
const listed = 100

func newDLQListCmd(o *console.Options) *cobra.Command {
	var l letterList
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, one by one or by cause",
		Long: dlqListLong,
		Example: `  {name} dlq list --causes
  {name} dlq list --subscription {module}/HANDLER --since 24h
  {name} dlq list --status all --json`,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.check(); err != nil {
				return err
			}
			return o.ReadJournal(cmd.Context(), l.journal, func(r *sqlite.Reader) error {
				if l.causes {
					if !cmd.Flags().Changed("limit") {
						l.filter.Limit = 0
					}
					return l.showCauses(cmd.Context(), o, r)
				}
				return l.show(cmd.Context(), o, r)
			})
		},
	}
	o.JournalFlag(cmd, &l.journal)
	selectionFlags(cmd, &l.journal, &l.filter)
	f := cmd.Flags()
	f.StringVar(&l.status, "status", string(journal.LetterDead), "dead, replaying, replayed, dropped, or all")
	f.Var(&l.since, "since", "only dead letters that died since then: 30m, 24h, 2026-01-31T08:00:00Z")
	f.IntVar(&l.filter.Limit, "limit", listed, "only the newest dead letters; 0 for all, the default with --causes")
	f.BoolVar(&l.causes, "causes", false, "group dead letters by cause")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]string{"dead", "replaying", "replayed", "dropped", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// selectionFlags adds the flags that choose dead letters to cmd.
func selectionFlags(cmd *cobra.Command, path *string, f *sqlite.DeadLetterFilter) {
	cmd.Flags().StringVar(&f.Subscription, "subscription", "", "only dead letters of this subscription")
	cmd.Flags().StringVar(&f.Type, "type", "", "only dead letters with this type of event")
	console.Complete(cmd, "subscription", path, console.SubscriptionNames)
	console.Complete(cmd, "type", path, console.EventTypes)
}

func (l *letterList) check() error {
	switch status := journal.LetterStatus(l.status); status {
	case journal.LetterDead, journal.LetterReplaying, journal.LetterReplayed, journal.LetterDropped:
		l.filter.Status = status
	case "all":
		l.filter.Status = ""
	default:
		return console.UsageErrorf("--status %q: want dead, replaying, replayed, dropped or all", l.status)
	}
	if l.filter.Limit < 0 {
		return console.UsageErrorf("--limit %d: want 1 or more, or 0 for all", l.filter.Limit)
	}
	l.filter.Since = l.since.Time
	return nil
}

func (l *letterList) show(ctx context.Context, o *console.Options, r *sqlite.Reader) error {
	if o.Json {
		return l.showJSON(ctx, o, r)
	}
	p := &console.Printer{O: o}
	t := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	n, newest := 0, int64(0)
	more, err := r.ListDeadLetters(ctx, l.filter, func(d *journal.DeadLetter) error {
		if n == 0 {
			_, _ = fmt.Fprintln(t, "ID\tSUBSCRIPTION\tEVENT\tKEY\tDIED\tATTEMPTS\tSTATUS\tERROR") // Flush returns the error
		}
		n, newest = n+1, d.ID
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, console.Printable(d.Subscription), console.Printable(d.Event.Type), console.Printable(d.Event.Key),
			console.Moment(d.DeadAt), d.Attempts, d.Status, console.Clip(d.Error, 80))
		if n%listed == 0 {
			return t.Flush()
		}
		return nil
	})
	if err == nil {
		err = t.Flush()
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		p.Line("no dead letters")
		return p.Err
	case more:
		p.Line("\nthere are older dead letters: --limit 0 lists all, --causes groups them")
	}
	p.Next(o.Invocation(r.Path(), "dlq", "show", fmt.Sprint(newest)))
	return p.Err
}

// showJSON writes a JSON array, element by element.
func (l *letterList) showJSON(ctx context.Context, o *console.Options, r *sqlite.Reader) error {
	a := &console.JSONArray{W: o.Stdout}
	more, err := r.ListDeadLetters(ctx, l.filter, func(d *journal.DeadLetter) error { return a.Add(d) })
	if err == nil {
		err = a.End()
	}
	if more && err == nil {
		_, _ = fmt.Fprintf(o.Stderr, "%s: only the newest %d: --limit 0 lists all\n", o.Program.Name, l.filter.Limit) // for a person
	}
	return err
}

func (l *letterList) showCauses(ctx context.Context, o *console.Options, r *sqlite.Reader) error {
	causes, err := r.Causes(ctx, l.filter)
	if err != nil {
		return err
	}
	if o.Json {
		return o.PrintJSON(causes)
	}
	p := &console.Printer{O: o}
	if len(causes) == 0 {
		p.Line("no dead letters")
		return p.Err
	}
	t := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "COUNT\tSUBSCRIPTION\tNEWEST\tDIED\tERROR") // Flush returns the error
	for _, c := range causes {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\n", c.Count, console.Printable(c.Subscription), c.Example, console.Moment(c.Last), console.Clip(c.Error, 100))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	p.Next(o.Invocation(r.Path(), "dlq", "show", fmt.Sprint(causes[0].Example)))
	return p.Err
}

// letterIDs parses the ids in args.
func letterIDs(o *console.Options, args []string) ([]int64, error) {
	ids := make([]int64, len(args))
	for i, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id < 1 {
			return nil, console.UsageErrorf("%q is not the id of a dead letter: want a number; '%s dlq list' lists the ids", a, o.Program.Name)
		}
		ids[i] = id
	}
	return ids, nil
}

// completeLetters returns the completion with the ids of dead letters.
func completeLetters(path *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		err := console.ReadJournal(cmd.Context(), *path, func(r *sqlite.Reader) error {
			letters, err := r.DeadLetters(cmd.Context(), sqlite.DeadLetterFilter{Status: journal.LetterDead, Limit: 100})
			for _, d := range letters {
				ids = append(ids, cobra.CompletionWithDesc(fmt.Sprint(d.ID), d.Subscription+": "+console.Clip(d.Error, 60)))
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
