package cli

import (
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/transports/sqlite"
)

const dlqRetryLong = `retry starts the next attempt of failed events at once: events of a subscription, of a type, of
a key, the event with an id, or all. These events are not dead, and attempts continue to
count. The order of each key is kept. If a process runs on the journal, the process handles
the events at once; otherwise the program does when it next runs on the journal.`

func newDLQRetryCmd(o *options) *cobra.Command {
	var path string
	var all bool
	var a sqlite.OpenAct
	cmd := &cobra.Command{
		Use: "retry", Short: "Retry failed events at once",
		Long: dlqRetryLong,
		Example: `  {name} dlq retry --subscription {module}/HANDLER --reason "the server is back"
  {name} dlq retry --all`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := a.Subscription != "" || a.Type != "" || a.Key != "" || a.Event != ""
			if chosen == all {
				return usageErrorf("no events are chosen: give --subscription, --type, --key or --event, or --all")
			}
			n, err := sqlite.RetryNow(cmd.Context(), path, a)
			if err != nil {
				return err
			}
			if o.json {
				return o.printJSON(map[string]int{"retried": n})
			}
			p := &printer{o: o}
			if running, _ := sqlite.Owned(path); running {
				p.Line("%s: tried at once", count(n, "waiting event"))
			} else {
				p.Line("%s: tried when %s next runs on %s", count(n, "waiting event"), printable(o.ownerAt(cmd.Context(), path).runs()), printable(path))
			}
			return p.err
		},
	}
	o.journalFlag(cmd, &path)
	reasonFlag(cmd, &a.Reason)
	f := cmd.Flags()
	f.StringVar(&a.Subscription, "subscription", "", "only events of this subscription")
	f.StringVar(&a.Type, "type", "", "only events of this type")
	f.StringVar(&a.Key, "key", "", "only events of this key")
	f.StringVar(&a.Event, "event", "", "only the event with this id")
	f.BoolVar(&all, "all", false, "all events that wait for a retry")
	complete(cmd, "subscription", &path, subscriptionNames)
	complete(cmd, "type", &path, eventTypes)
	return cmd
}
