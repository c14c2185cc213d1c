package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/troupebus/troupe"
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

func benchCommand() troupe.Command[doors] { return benchBy(bench.Process("bench-worker")) }

// benchBy is the command with the way in which it runs its workers.
func benchBy(start bench.Start) troupe.Command[doors] {
	b := bench.Options{Start: start}
	return troupe.Command[doors]{
		Name: "bench", Alone: true,
		Short: "Measure what durability costs, and what the wire between deployables does",
		Long:  benchLong, Example: benchExample,
		Flags: func(f *flag.FlagSet) {
			f.Int64Var(&b.Flows, "flows", 15_000, "flows timed in each run of a side")
			f.BoolVar(&b.Grow, "grow", false, "also measure on a journal of 1,000,000 events")
			f.Func("run", "measure only these, with commas between them: "+strings.Join(bench.Sections, ", ")+
				"; with --transport kafka "+strings.Join(bench.KafkaSections, ", "), words(&b.Run))
			f.StringVar(&b.Folder, "dir", ".", "an existing folder on the disk to measure")
			f.StringVar(&b.Transport, "transport", "", "measure the wire between two deployables: kafka")
			f.Func("brokers", "host:port of a Kafka, or several with commas between them; a stand-in is started where there is none", words(&b.Brokers))
		},
		Check: func(args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown argument %q", args[0])
			}
			return b.Validate()
		},
		Run: func(ctx context.Context, c *troupe.Call[doors]) error {
			if c.Terminal {
				b.Progress = func(line string) { _, _ = fmt.Fprintln(c.Err, line) }
			}
			report, err := bench.Run(ctx, b)
			switch {
			case err != nil:
				return err
			case c.JSON:
				return c.Print(report)
			default:
				return report.WriteMarkdown(c.Out)
			}
		},
	}
}

// words adds words with commas between them to list.
func words(list *[]string) func(string) error {
	return func(text string) error {
		*list = append(*list, strings.Split(text, ",")...)
		return nil
	}
}

// workerCommand is the other end of bench.Process.
func workerCommand() troupe.Command[doors] {
	return troupe.Command[doors]{
		Name: "bench-worker", Short: "Do one job of a bench, read as JSON from standard input", Hidden: true, Alone: true,
		Run: func(ctx context.Context, c *troupe.Call[doors]) error { return bench.Serve(ctx, c.In, c.Out) },
	}
}
