package cli

import (
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/transports/sqlite"
)

const dlqRetryLong = `retry has events that failed, and wait for their next attempt, tried at once: those of a
subscription, of a type, of a key, the one with an id, or all. Nothing is dead yet: their
attempts go on counting. The order of each key is kept. While a process runs on the journal
it takes them up at once; otherwise they run when the program next runs on it.`

func newDLQRetryCmd(o *options) *cobra.Command {
	var path string
	var all bool
	var a sqlite.OpenAct
	cmd := &cobra.Command{
		Use: "retry", Short: "Have events that wait for another attempt tried at once",
		Long: dlqRetryLong,
		Example: `  {name} dlq retry --subscription {module}/HANDLER --reason "the server is back"
  {name} dlq retry --all`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := a.Subscription != "" || a.Type != "" || a.Key != "" || a.Event != ""
			if chosen == all {
				return usageErrorf("which ones? Give --subscription, --type, --key or --event, or --all")
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
				p.line("%s: tried at once", count(n, "waiting event"))
			} else {
				p.line("%s: tried when %s next runs on %s", count(n, "waiting event"), printable(o.ownerAt(cmd.Context(), path).runs()), printable(path))
			}
			return p.err
		},
	}
	o.journalFlag(cmd, &path)
	reasonFlag(cmd, &a.Reason)
	f := cmd.Flags()
	f.StringVar(&a.Subscription, "subscription", "", "only those of this subscription")
	f.StringVar(&a.Type, "type", "", "only those of this type of event")
	f.StringVar(&a.Key, "key", "", "only those of this key")
	f.StringVar(&a.Event, "event", "", "only the one of the event with this id")
	f.BoolVar(&all, "all", false, "all that wait")
	complete(cmd, "subscription", &path, subscriptionNames)
	complete(cmd, "type", &path, eventTypes)
	return cmd
}
