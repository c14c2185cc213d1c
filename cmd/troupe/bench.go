package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/bench"
)

func newBenchCmd(o *options) *cobra.Command { return benchCmd(o, bench.Process("bench", "worker")) }

// benchCmd is the command with the way in which it runs its workers.
func benchCmd(o *options, start bench.Start) *cobra.Command {
	b := bench.Options{Start: start}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what durability costs, against memory and against bare SQLite",
		Long: `Measure what durability costs, in ratios: Troupe against Watermill's GoChannel, which keeps nothing,
and against one thread that writes the same rows into SQLite with no bus at all. All do the same
flow of five reactions, with 64 publishers, in turns, each time in a fresh process. Then the latency
of a single flow, and the processor time of a process that has nothing to do.

The result is a table that shows what falls short as well. It takes a minute or two, --grow a few more
and about 1 GB of disk. Measure on a machine that has nothing else to do, and on a real disk: --dir
chooses it; journals are made in a new folder in there, which is removed at the end.

The exit code is 0 when everything was measured, whether the targets are met or not.`,
		Example: `  troupe bench
  troupe bench --grow --json
  troupe bench --run latency,idle
  troupe bench --run sqlite --flows 50000 --dir /mnt/disk`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.Validate(); err != nil {
				return usageErrorf("%w", err)
			}
			if o.isTerminal {
				b.Progress = func(line string) { _, _ = fmt.Fprintln(o.stderr, line) }
			}
			report, err := bench.Run(cmd.Context(), b)
			switch {
			case err != nil:
				return err
			case o.json:
				return o.printJSON(report)
			default:
				return report.WriteMarkdown(o.stdout)
			}
		},
	}
	cmd.Flags().Int64Var(&b.Flows, "flows", 15_000, "flows timed in each run of a side")
	cmd.Flags().BoolVar(&b.Grow, "grow", false, "also measure on a journal of 1,000,000 events")
	cmd.Flags().StringSliceVar(&b.Run, "run", nil, "measure only these: "+strings.Join(bench.Sections, ", "))
	cmd.Flags().StringVar(&b.Folder, "dir", ".", "an existing folder on the disk to measure")
	_ = cmd.RegisterFlagCompletionFunc("run", cobra.FixedCompletions(bench.Sections, cobra.ShellCompDirectiveNoFileComp)) // it is there
	cmd.AddCommand(newBenchWorkerCmd(o))
	return cmd
}

// newBenchWorkerCmd is the other end of bench.Process.
func newBenchWorkerCmd(o *options) *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Do one job of a bench, read as JSON from standard input",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.Serve(cmd.Context(), cmd.InOrStdin(), o.stdout)
		},
	}
}
