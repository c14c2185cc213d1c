package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/bench"
)

const benchLong = `Measure what durability costs, in ratios: Troupe against Watermill's GoChannel, which keeps nothing,
and against one thread that writes the same rows into SQLite with no bus at all. All do the same
flow of five reactions, with 64 publishers, in turns, each time in a fresh process. Then the latency
of a single flow, and the processor time of a process that has nothing to do.

The result is a table that shows what falls short as well. It takes a minute or two, --grow a few more
and about 1 GB of disk. Measure on a machine that has nothing else to do, and on a real disk: --dir
chooses it; journals are made in a new folder in there, which is removed at the end.

With --transport kafka it is measured what the wire between two deployables costs: the flow, split
between two processes with a journal each, against the same flow straight on watermill-kafka in one
process, which keeps nothing; the relay against sarama's own batches; the ingest against single publishes;
and the latency of a single flow. --brokers names a Kafka, in which topics troupe-bench-* are made and
removed; without it a stand-in is started, whose figures say little about those of a real one.

The exit code is 0 when everything was measured, whether the targets are met or not.`

const benchExample = `  troupe bench
  troupe bench --grow --json
  troupe bench --run latency,idle
  troupe bench --run sqlite --flows 50000 --dir /mnt/disk
  troupe bench --transport kafka --brokers 127.0.0.1:9092
  troupe bench --transport kafka --run relay,ingest --json`

func newBenchCmd(o *options) *cobra.Command { return benchCmd(o, bench.Process("bench", "worker")) }

// benchCmd is the command with the way in which it runs its workers.
func benchCmd(o *options, start bench.Start) *cobra.Command {
	b := bench.Options{Start: start}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what durability costs, and what the wire between deployables does",
		Long:  benchLong, Example: benchExample,
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
	bindBench(cmd, &b)
	cmd.AddCommand(newBenchWorkerCmd(o))
	return cmd
}

// bindBench gives cmd the flags that fill b.
func bindBench(cmd *cobra.Command, b *bench.Options) {
	cmd.Flags().Int64Var(&b.Flows, "flows", 15_000, "flows timed in each run of a side")
	cmd.Flags().BoolVar(&b.Grow, "grow", false, "also measure on a journal of 1,000,000 events")
	cmd.Flags().StringSliceVar(&b.Run, "run", nil, "measure only these: "+strings.Join(bench.Sections, ", ")+
		"; with --transport kafka "+strings.Join(bench.KafkaSections, ", "))
	cmd.Flags().StringVar(&b.Folder, "dir", ".", "an existing folder on the disk to measure")
	cmd.Flags().StringVar(&b.Transport, "transport", "", "measure the wire between two deployables: kafka")
	cmd.Flags().StringSliceVar(&b.Brokers, "brokers", nil, "host:port of a Kafka, or several; a stand-in is started where there is none")
	complete := func(flag string, names ...string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // it is there
	}
	complete("run", append(slices.Clone(bench.Sections), bench.KafkaSections...)...)
	complete("transport", "kafka")
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
