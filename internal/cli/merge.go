package cli

import (
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

const mergeLong = `merge brings the modules of a journal back into another one: what split took out, with all
that has happened since. Stop the processes that run on both first. The journal that they
leave stays where it is, but cannot be run on any more; remove it when you are content.

It is all or nothing, also when it is killed: repeat it then. It counts everything before
and after, prints both, and undoes itself when they differ. The journal as it was is kept
beside it, so that --undo can put it back while nothing has happened since.

The journal reads the topics of others from the beginning again, and drops what it has.`

const mergeExample = `  {name} merge --from {module}.db --journal {name}.db --dry-run
  {name} merge --from {module}.db --journal {name}.db
  {name} merge --undo --journal {name}.db`

func newMergeCmd(o *options) *cobra.Command {
	var m move.Options
	var undo bool
	cmd := &cobra.Command{
		Use: "merge", Short: "Bring the modules of a journal back into another",
		Long: mergeLong, Example: mergeExample,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m.Progress = progress(o)
			switch {
			case undo && (m.Other != "" || m.DryRun || m.NoBackup):
				return usageErrorf("--undo needs --journal, and nothing else")
			case undo:
				return printMove(cmd.Context(), o)(move.Undo(cmd.Context(), "merge", m))
			case m.Other == "":
				return usageErrorf("--from is missing: say which journal's modules are to come")
			}
			m.Ready = o.moved(cmd.Context(), Move{Act: "merge", From: m.Other, To: m.Journal})
			return printMove(cmd.Context(), o)(move.Merge(cmd.Context(), m))
		},
	}
	o.journalFlag(cmd, &m.Journal)
	cmd.Flags().StringVar(&m.Other, "from", "", "the file of the journal whose modules come")
	moveFlags(cmd, &m, &undo)
	_ = cmd.MarkFlagFilename("from", "db") // only fails for a flag that does not exist
	return cmd
}
