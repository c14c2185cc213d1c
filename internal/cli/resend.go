package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/transports/sqlite"
)

const resendLong = `resend has a deployable send again to the others what it has emitted, since a time or from
the beginning: the events of its modules, and what became of deliveries. Whoever has an event
drops it by its id, so that too much does no harm.

It is for events that a carrier has lost, with a topic that was deleted or a cluster that was
made anew: a dead letter of bus/ingest at those who missed them says so. Stop the process that
runs on the journal first; what is to be sent again is sent when it next runs.`

func newResendCmd(o *options) *cobra.Command {
	var path string
	var since sinceFlag
	cmd := &cobra.Command{
		Use: "resend", Short: "Send again to other deployables what a carrier has lost",
		Long: resendLong,
		Example: `  {name} resend --journal {name}.db
  {name} resend --journal {name}.db --since 24h`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := sqlite.Resend(cmd.Context(), path, since.Time)
			if err != nil {
				return err
			}
			if o.json {
				return o.printJSON(map[string]int64{"events": n})
			}
			if n == 0 {
				_, err = fmt.Fprintln(o.stdout, "nothing is to be sent again: no process has sent anything from this journal since then")
				return err
			}
			_, err = fmt.Fprintf(o.stdout, "%s will be looked at again when a process next runs on this journal: what its modules have emitted is sent\n", count(int(n), "event"))
			return err
		},
	}
	o.journalFlag(cmd, &path)
	cmd.Flags().Var(&since, "since", "only events since then: 30m, 24h, 2026-01-31T08:00:00Z")
	return cmd
}
