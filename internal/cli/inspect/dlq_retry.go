package inspect

import (
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const dlqRetryLong = `retry starts the next attempt of failed events at once: events of a subscription, of a type, of
a key, the event with an id, or all. These events are not dead, and attempts continue to
count. The order of each key is kept. If a process runs on the journal, the process handles
the events at once; otherwise the program does when it next runs on the journal.`

func newDLQRetryCmd(o *console.Options) *cobra.Command {
	var path string
	var all bool
	var a sqlite.OpenAct
	cmd := &cobra.Command{
		Use: "retry", Short: "Retry failed events at once",
		Long: dlqRetryLong,
		Example: `  {name} dlq retry --subscription {module}/HANDLER --reason "the server is back"
  {name} dlq retry --all`,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := a.Subscription != "" || a.Type != "" || a.Key != "" || a.Event != ""
			if chosen == all {
				return console.UsageErrorf("no events are chosen: give --subscription, --type, --key or --event, or --all")
			}
			if err := o.MayChange(cmd.Context(), "dlq retry", path); err != nil {
				return err
			}
			n, err := sqlite.RetryNow(cmd.Context(), path, a)
			if err != nil {
				return hinted(o, path, err)
			}
			if o.Json {
				return o.PrintJSON(map[string]int{"retried": n})
			}
			p := &console.Printer{O: o}
			if running, _ := sqlite.Owned(path); running {
				p.Line("%s: tried at once", console.Count(n, "waiting event"))
			} else {
				p.Line("%s: tried when %s next runs on %s", console.Count(n, "waiting event"), console.Printable(o.OwnerAt(cmd.Context(), path).Runs()), console.Printable(path))
			}
			return p.Err
		},
	}
	o.JournalFlag(cmd, &path)
	reasonFlag(cmd, &a.Reason)
	f := cmd.Flags()
	f.StringVar(&a.Subscription, "subscription", "", "only events of this subscription")
	f.StringVar(&a.Type, "type", "", "only events of this type")
	f.StringVar(&a.Key, "key", "", "only events of this key")
	f.StringVar(&a.Event, "event", "", "only the event with this id")
	f.BoolVar(&all, "all", false, "all events that wait for a retry")
	console.Complete(cmd, "subscription", &path, console.SubscriptionNames)
	console.Complete(cmd, "type", &path, console.EventTypes)
	return cmd
}
