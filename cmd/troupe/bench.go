package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/bench"
)

const benchLong = `Measure the price of durability, in ratios: Troupe against Watermill's GoChannel, which stores no
event, and against one thread that writes the same rows into SQLite without a bus. All sides run the
same flow of five reactions, with 64 publishers, in turns, each time in a fresh process. Then bench
measures the latency of a single flow, and the processor time of an idle process.

The result is a table of all ratios, targets missed included. bench takes a minute or two; --grow adds
some minutes and needs about 1 GB of disk. Use an idle machine and a real disk: --dir names a folder
on the disk. Journals are created in a new folder there, which is deleted at the end.

With --transport kafka, bench measures the price of the wire between two deployables: the flow, split
between two processes with a journal each, against the same flow straight on watermill-kafka in one
process, which stores no event; the relay against sarama's own batches; the ingest against single
publishes; and the latency of a single flow. --brokers names a Kafka, in which bench creates topics
troupe-bench-* and deletes them. Without --brokers, bench starts a stand-in for Kafka. The figures of
the stand-in say little about a real Kafka.

The exit code is 0 when all measurements succeeded, whether the targets are met or not.`

const benchExample = `  troupe bench
  troupe bench --grow --json
  troupe bench --run latency,idle
  troupe bench --run sqlite --flows 50000 --dir /mnt/disk
  troupe bench --transport kafka --brokers 127.0.0.1:9092
  troupe bench --transport kafka --run relay,ingest --json`

func benchCommand() troupe.Command[doors] { return benchBy(bench.Process("bench-worker")) }

// benchBy returns the command bench, with start for the workers.
func benchBy(start bench.Start) troupe.Command[doors] {
	b := bench.Options{Start: start}
	return troupe.Command[doors]{
		Name: "bench", Alone: true,
		Short: "Measure the price of durability, and of the wire between deployables",
		Long:  benchLong, Example: benchExample,
		Flags: func(f *flag.FlagSet) {
			f.Int64Var(&b.Flows, "flows", 15_000, "flows timed in each run of a side")
			f.BoolVar(&b.Grow, "grow", false, "also measure on a journal of 1,000,000 events")
			f.Func("run", "sections to measure, separated by commas: "+strings.Join(bench.Sections, ", ")+
				"; with --transport kafka "+strings.Join(bench.KafkaSections, ", "), words(&b.Run))
			f.StringVar(&b.Folder, "dir", ".", "existing folder on the disk to measure")
			f.StringVar(&b.Transport, "transport", "", "transport to measure between two deployables: kafka")
			f.Func("brokers", "host:port of a Kafka, or several, separated by commas (default a stand-in that bench starts)", words(&b.Brokers))
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

// words returns a flag's function that appends words, separated by commas, to list.
func words(list *[]string) func(string) error {
	return func(text string) error {
		*list = append(*list, strings.Split(text, ",")...)
		return nil
	}
}

// workerCommand returns the other end of bench.Process.
func workerCommand() troupe.Command[doors] {
	return troupe.Command[doors]{
		Name: "bench-worker", Short: "Do one job of a bench, read as JSON from standard input", Hidden: true, Alone: true,
		Run: func(ctx context.Context, c *troupe.Call[doors]) error { return bench.Serve(ctx, c.In, c.Out) },
	}
}
