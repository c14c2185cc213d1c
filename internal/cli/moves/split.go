// Package moves has the commands split and merge, which move modules between journals.
package moves

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

const splitLong = `split moves modules out of a journal into a new journal, for a separate process: the tables, the
positions of the subscriptions, retries, delayed events, dead letters, and all events that these
need. Stop the process on the journal first.

split moves everything or nothing; after a kill, run split again. split counts all rows before
and after, prints both counts, and undoes the move if they differ. A copy of the journal before
the move stays beside the journal. --undo restores the copy while nothing has happened since;
later, merge moves the modules back.

With --list, split lists the files that splits and merges have left beside the journal: copies
of the journal, and files of a killed move. The list has sizes, and how to remove each file.

With --check, split changes nothing, and reports problems to correct before modules run in
separate processes. The default of --modules is every module then. The exit code is 1 when an
error must be corrected first.`

const splitExample = `  {name} split --check --modules {module} --journal {name}.db
  {name} split --modules {module} --journal {name}.db --into {module}.db --dry-run
  {name} split --modules {module} --journal {name}.db --into {module}.db
  {name} split --undo --journal {name}.db
  {name} split --list --journal {name}.db`

// splitConfig has the flags of split.
type splitConfig struct {
	move.Options
	undo, check, list bool
	maxPayload        int
}

// NewSplitCmd returns the command split.
func NewSplitCmd(o *console.Options) *cobra.Command {
	var c splitConfig
	cmd := &cobra.Command{
		Use: "split", Short: "Move modules out of a journal into a new journal",
		Long: splitLong, Example: splitExample,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.valid(); err != nil {
				return err
			}
			c.Progress = progress(o)
			switch {
			case c.list:
				return listLeftovers(cmd.Context(), o, c.Journal)
			case c.check:
				return checkSplit(cmd.Context(), o, c, cmd.Flags().Changed("journal"))
			case c.undo:
				return undoMove(cmd.Context(), o, "split", &c.Options)
			default:
				if err := mayMove(cmd.Context(), o, "split", &c.Options); err != nil {
					return err
				}
				c.Ready = moved(cmd.Context(), o, console.Move{Act: "split", Modules: c.Modules, From: c.Journal, To: c.Other})
				return printMove(cmd.Context(), o, &c.Options)(move.Split(cmd.Context(), c.Options))
			}
		},
	}
	o.JournalFlag(cmd, &c.Journal)
	f := cmd.Flags()
	f.StringSliceVar(&c.Modules, "modules", nil, "modules that move, separated by commas")
	f.StringVar(&c.Other, "into", "", "file of the new journal, which must not exist")
	moveFlags(cmd, &c.Options, &c.undo)
	f.BoolVar(&c.list, "list", false, "only list the files that moves have left: copies, and files of killed moves")
	f.BoolVar(&c.check, "check", false, "only report problems to correct before a split")
	f.IntVar(&c.maxPayload, "max-payload", 1<<20, "with --check: maximum size of the payload of an event in bytes")
	_ = cmd.MarkFlagFilename("into", "db") // only fails for a flag that does not exist
	_ = cmd.RegisterFlagCompletionFunc("modules", cobra.FixedCompletions(o.Program.Modules(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// moveFlags adds the flags that split and merge share to cmd.
func moveFlags(cmd *cobra.Command, m *move.Options, undo *bool) {
	f := cmd.Flags()
	f.BoolVar(&m.NoBackup, "no-backup", false, "keep no copy of the journal: the move cannot be undone then")
	f.BoolVar(&m.DryRun, "dry-run", false, "only count the rows that would move; works while the journal is in use")
	f.BoolVar(undo, "undo", false, "restore the copy of the journal, if nothing has happened since the move")
}

func (c *splitConfig) valid() error {
	switch {
	case c.undo && (len(c.Modules) > 0 || c.Other != "" || c.DryRun || c.NoBackup || c.check || c.list):
		return console.UsageErrorf("--undo takes only --journal: leave out the other flags")
	case c.list && (len(c.Modules) > 0 || c.Other != "" || c.DryRun || c.NoBackup || c.check):
		return console.UsageErrorf("--list takes only --journal: leave out the other flags")
	case c.check && (c.Other != "" || c.DryRun || c.NoBackup):
		return console.UsageErrorf("--check takes only --journal, --modules and --max-payload: leave out the other flags")
	case c.maxPayload < 1:
		return console.UsageErrorf("--max-payload %d: want 1 or more", c.maxPayload)
	case c.undo || c.check || c.list:
		return nil
	case len(c.Modules) == 0:
		return console.UsageErrorf("--modules is missing: name the modules that move")
	case c.Other == "":
		return console.UsageErrorf("--into is missing: name the file of the new journal")
	}
	return nil
}

// progress returns a function that shows the present step on a terminal, or nil without a terminal.
func progress(o *console.Options) func(string) {
	if !o.IsTerminal || o.Json {
		return nil
	}
	return func(doing string) { _, _ = fmt.Fprintln(o.Stderr, console.Printable(doing)+" …") } // progress may be lost
}
