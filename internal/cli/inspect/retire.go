package inspect

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const retireLong = `retire gives up the open work of a subscription that {name} does not have any more: events
without an attempt, retries, blocked events and dead letters. Without that, {name} does not
start on the journal. A retirement cannot be undone; the journal records the reason.

A renamed subscription needs no retire: its new one names the old one with Handler.Was. Stop
the process on the journal first.`

// NewRetireCmd returns the command retire.
func NewRetireCmd(o *console.Options) *cobra.Command {
	var path string
	var a sqlite.OpenAct
	cmd := &cobra.Command{
		Use: "retire NAME --reason WHY", Short: "Give up the open work of a removed subscription",
		Long: retireLong,
		Example: `  {name} retire {module}/OLD --reason "{module}/NEW does it since 1.4"
  {name} retire {module}/OLD --reason "no longer sold" --journal {name}.db`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return console.UsageErrorf("name the subscription: %s retire NAME --reason WHY", o.Program.Name)
			}
			if a.Reason == "" {
				return console.UsageErrorf("--reason is missing: give the reason for the retirement")
			}
			a.Subscription = args[0]
			wired := func(s journal.ProgramSubscription) bool { return s.Name == a.Subscription }
			if slices.ContainsFunc(o.Program.Wiring().Subscriptions, wired) {
				return fmt.Errorf("%s has the subscription %s: remove it from the program first", o.Program.Name, a.Subscription)
			}
			if err := o.MayChange(cmd.Context(), "retire", path); err != nil {
				return err
			}
			dropped, err := sqlite.Retire(cmd.Context(), path, a)
			if errors.Is(err, sqlite.ErrNotFound) {
				return fmt.Errorf("%w%s", err, console.Hint(o.Invocation(path, "verify", "--json")))
			}
			if err != nil {
				return err
			}
			if o.Json {
				return o.PrintJSON(dropped)
			}
			p := &console.Printer{O: o}
			p.Line("%s is retired; given up: %d waiting, %d retrying, %d blocked, %s", console.Printable(a.Subscription),
				dropped.Events, dropped.Retrying, dropped.Blocked, console.Count(int(dropped.DeadLetters), "dead letter"))
			return p.Err
		},
	}
	o.JournalFlag(cmd, &path)
	reasonFlag(cmd, &a.Reason)
	return cmd
}
