package inspect

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

const resendLong = `resend makes a deployable send its messages again, since a time or from the beginning: the events
of its modules, and the outcomes of its deliveries. The other deployables drop known events by
id, so sending too much does no harm.

Use resend after a backend has lost events, such as with a deleted topic or a new cluster. The
deployables that missed events report the loss as a dead letter of bus/ingest. Stop the process
on the journal first; the messages are sent when it next runs.`

// NewResendCmd returns the command resend.
func NewResendCmd(o *console.Options) *cobra.Command {
	var path string
	var since console.SinceFlag
	cmd := &cobra.Command{
		Use: "resend", Short: "Send events again that a backend has lost",
		Long: resendLong,
		Example: `  {name} resend --journal {name}.db
  {name} resend --journal {name}.db --since 24h`,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.MayChange(cmd.Context(), "resend", path); err != nil {
				return err
			}
			n, err := sqlite.Resend(cmd.Context(), path, since.Time)
			if err != nil {
				return err
			}
			if o.Json {
				return o.PrintJSON(map[string]int64{"events": n})
			}
			if n == 0 {
				_, err = fmt.Fprintln(o.Stdout, "nothing is to be sent again: no process has sent events from this journal since then")
				return err
			}
			_, err = fmt.Fprintf(o.Stdout, "%s will be read again when a process next runs on this journal, and the events of its modules are sent\n", console.Count(int(n), "event"))
			return err
		},
	}
	o.JournalFlag(cmd, &path)
	cmd.Flags().Var(&since, "since", "only events since then: 30m, 24h, 2026-01-31T08:00:00Z")
	return cmd
}
