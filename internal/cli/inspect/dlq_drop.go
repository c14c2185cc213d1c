package inspect

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const dlqDropLong = `drop gives up dead letters: the subscription never handles these events. Blocked events of
the same key continue. A drop cannot be undone; the journal records the reason.

With --subscription, drop gives up all dead letters of the subscription. If the program no
longer has the subscription, drop also gives up its open events, which wait for a retry or
are blocked.`

func newDLQDropCmd(o *console.Options) *cobra.Command {
	var path string
	var a sqlite.Act
	cmd := &cobra.Command{
		Use: "drop [ID...] --reason WHY", Short: "Give up dead letters, with a reason",
		Long: dlqDropLong,
		Example: `  {name} dlq drop 3 --reason "a test"
  {name} dlq drop --subscription {module}/OLD --reason "{module}/NEW does it since 1.4"`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: completeLetters(&path),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if a.Reason == "" {
				return console.UsageErrorf("--reason is missing: give the reason for the drop")
			}
			if (len(args) == 0) == (a.Select.Subscription == "") {
				return console.UsageErrorf("no dead letters are chosen: give ids or --subscription; '%s dlq list' lists them", o.Program.Name)
			}
			if a.Select.IDs, err = letterIDs(o, args); err != nil {
				return err
			}
			if err := o.MayChange(cmd.Context(), "dlq drop", path); err != nil {
				return err
			}
			letters, shown := 0, &console.JSONArray{W: o.Stdout}
			a.Each = func(batch []journal.DeadLetter) {
				letters += len(batch)
				for i := 0; o.Json && err == nil && i < len(batch); i++ {
					err = shown.Add(&batch[i])
				}
			}
			open, failed := dropLetters(cmd.Context(), path, a)
			switch {
			case failed != nil:
				return hinted(o, path, failed)
			case err != nil:
				return err
			case o.Json:
				return shown.End()
			}
			p := &console.Printer{O: o}
			p.Line("%s: dropped", console.Count(letters, "dead letter"))
			if open > 0 {
				p.Line("%s: dropped", console.Count(open, "open event"))
			}
			return p.Err
		},
	}
	o.JournalFlag(cmd, &path)
	reasonFlag(cmd, &a.Reason)
	cmd.Flags().StringVar(&a.Select.Subscription, "subscription", "", "all dead letters of this subscription")
	console.Complete(cmd, "subscription", &path, console.SubscriptionNames)
	return cmd
}

// dropLetters drops dead letters and, for a removed subscription, its open events. It returns the number of open
// events.
func dropLetters(ctx context.Context, path string, a sqlite.Act) (open int, err error) {
	removed := false
	if a.Select.Subscription != "" {
		if removed, err = isRemoved(ctx, path, a.Select.Subscription); err != nil {
			return 0, err
		}
	}
	_, err = sqlite.Drop(ctx, path, a)
	if !removed || err != nil && !errors.Is(err, sqlite.ErrNotFound) {
		return 0, err
	}
	none := err
	open, err = sqlite.DropOpen(ctx, path, sqlite.OpenAct{
		Actor: a.Actor, Reason: a.Reason, Subscription: a.Select.Subscription,
	})
	if errors.Is(err, sqlite.ErrNotFound) {
		err = none
	}
	return open, err
}

// isRemoved reports whether the program that ran last on a journal no longer has the subscription called name.
func isRemoved(ctx context.Context, path, name string) (removed bool, err error) {
	err = console.ReadJournal(ctx, path, func(r *sqlite.Reader) error {
		removed, err = r.Removed(ctx, name)
		return err
	})
	return removed, err
}
