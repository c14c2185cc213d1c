package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

const splitLong = `split takes modules out of a journal into a new one, which a process of its own can run
from then on: their tables, how far each subscription is, what it is to try again, timers,
dead letters, and the events that all of this needs. Stop the process that runs on the
journal first.

It is all or nothing, also when it is killed: repeat it then. It counts everything before
and after, prints both, and undoes itself when they differ. The journal as it was is kept
beside it, so that --undo can put it back while nothing has happened since; later, merge
brings the modules back.

With --list it names what splits and merges have left beside the journal, with sizes and how
to remove it: copies of the journal as it was, and files of a run that was killed.

With --check it changes nothing, and reports what should be mended before modules run in
processes of their own. Without --modules it looks at every module. The exit code is 1 when
something has to be mended first.`

const splitExample = `  {name} split --check --modules {module} --journal {name}.db
  {name} split --modules {module} --journal {name}.db --into {module}.db --dry-run
  {name} split --modules {module} --journal {name}.db --into {module}.db
  {name} split --undo --journal {name}.db
  {name} split --list --journal {name}.db`

// splitConfig is what the flags of split say.
type splitConfig struct {
	move.Options
	undo, check, list bool
	maxPayload        int
}

func newSplitCmd(o *options) *cobra.Command {
	var c splitConfig
	cmd := &cobra.Command{
		Use: "split", Short: "Take modules out of a journal into one of their own",
		Long: splitLong, Example: splitExample,
		Args: usageArgs(cobra.NoArgs),
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
				return printMove(cmd.Context(), o)(move.Undo(cmd.Context(), "split", c.Options))
			default:
				c.Ready = o.moved(cmd.Context(), Move{Act: "split", Modules: c.Modules, From: c.Journal, To: c.Other})
				return printMove(cmd.Context(), o)(move.Split(cmd.Context(), c.Options))
			}
		},
	}
	o.journalFlag(cmd, &c.Journal)
	f := cmd.Flags()
	f.StringSliceVar(&c.Modules, "modules", nil, "the modules that move, separated by commas")
	f.StringVar(&c.Other, "into", "", "the file of the new journal, which must not exist")
	moveFlags(cmd, &c.Options, &c.undo)
	f.BoolVar(&c.list, "list", false, "only list what moves have left: copies, and files of moves that were killed")
	f.BoolVar(&c.check, "check", false, "only report what should be mended before")
	f.IntVar(&c.maxPayload, "max-payload", 1<<20, "with --check: how many bytes the payload of an event may have on its way")
	_ = cmd.MarkFlagFilename("into", "db") // only fails for a flag that does not exist
	_ = cmd.RegisterFlagCompletionFunc("modules", cobra.FixedCompletions(o.program.modules(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// moveFlags are those that split and merge share.
func moveFlags(cmd *cobra.Command, m *move.Options, undo *bool) {
	f := cmd.Flags()
	f.BoolVar(&m.NoBackup, "no-backup", false, "keep no copy of the journal as it was: it cannot be undone then")
	f.BoolVar(&m.DryRun, "dry-run", false, "only count what would move; works while the journal is in use")
	f.BoolVar(undo, "undo", false, "put everything back as it was before, if nothing has happened since")
}

func (c *splitConfig) valid() error {
	switch {
	case c.undo && (len(c.Modules) > 0 || c.Other != "" || c.DryRun || c.NoBackup || c.check || c.list):
		return usageErrorf("--undo needs --journal, and nothing else")
	case c.list && (len(c.Modules) > 0 || c.Other != "" || c.DryRun || c.NoBackup || c.check):
		return usageErrorf("--list needs --journal, and nothing else")
	case c.check && (c.Other != "" || c.DryRun || c.NoBackup):
		return usageErrorf("--check needs --journal, --modules and --max-payload at most")
	case c.maxPayload < 1:
		return usageErrorf("--max-payload %d: want 1 or more", c.maxPayload)
	case c.undo || c.check || c.list:
		return nil
	case len(c.Modules) == 0:
		return usageErrorf("--modules is missing: say which modules are to move")
	case c.Other == "":
		return usageErrorf("--into is missing: say what the new journal's file is to be called")
	}
	return nil
}

// progress tells a person who waits what is being done.
func progress(o *options) func(string) {
	if !o.isTerminal || o.json {
		return nil
	}
	return func(doing string) { _, _ = fmt.Fprintln(o.stderr, printable(doing)+" …") } // it is only for waiting
}
