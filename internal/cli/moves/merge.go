package moves

import (
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

const mergeLong = `merge moves all modules of a journal into another journal, such as modules that split took out,
with all later events. Stop the processes on both journals first. The old journal stays as a
file that no program can run on; remove the file when you are content.

merge moves everything or nothing; after a kill, run merge again. merge counts all rows before
and after, prints both counts, and undoes the move if they differ. A copy of the journal before
the move stays beside the journal. --undo restores the copy while nothing has happened since.

The journal reads the topics of other deployables from the beginning again, and drops known
events.`

const mergeExample = `  {name} merge --from {module}.db --journal {name}.db --dry-run
  {name} merge --from {module}.db --journal {name}.db
  {name} merge --undo --journal {name}.db`

// NewMergeCmd returns the command merge.
func NewMergeCmd(o *console.Options) *cobra.Command {
	var m move.Options
	var undo bool
	cmd := &cobra.Command{
		Use: "merge", Short: "Move the modules of a journal into another journal",
		Long: mergeLong, Example: mergeExample,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m.Progress = progress(o)
			switch {
			case undo && (m.Other != "" || m.DryRun || m.NoBackup):
				return console.UsageErrorf("--undo takes only --journal: leave out the other flags")
			case undo:
				return undoMove(cmd.Context(), o, "merge", &m)
			case m.Other == "":
				return console.UsageErrorf("--from is missing: name the journal whose modules move")
			}
			if err := mayMove(cmd.Context(), o, "merge", &m); err != nil {
				return err
			}
			m.Ready = moved(cmd.Context(), o, console.Move{Act: "merge", From: m.Other, To: m.Journal})
			return printMove(cmd.Context(), o, &m)(move.Merge(cmd.Context(), m))
		},
	}
	o.JournalFlag(cmd, &m.Journal)
	cmd.Flags().StringVar(&m.Other, "from", "", "file of the journal whose modules move")
	moveFlags(cmd, &m, &undo)
	_ = cmd.MarkFlagFilename("from", "db") // only fails for a flag that does not exist
	return cmd
}
