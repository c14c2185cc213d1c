package main

import (
	"cmp"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const rootLong = `troupe runs a shop of five modules that know nothing of each other: order, inventory,
payment, shipping and notification only react to events. Everything they do is in one
journal, an SQLite file, where every business flow can be seen: where it is, why, and
what comes next. Any of them can run in a process of its own, over Kafka or Postgres.`

const rootExample = `  troupe demo                              # hundreds of orders, and what became of them
  troupe run --journal shop.db             # serve the shop on http://127.0.0.1:8080
  troupe trace ORDER --journal shop.db     # the flow of an order as a tree`

// newRootCmd is the whole command line.
func newRootCmd(o *options) *cobra.Command {
	root := &cobra.Command{
		Use: "troupe", Short: "An event bus for modular monoliths, and a shop that runs on it",
		Long: rootLong, Example: rootExample, Version: version(),
		SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("unknown command %q\nsee 'troupe --help'", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.bind(root)
	root.SetOut(o.stdout)
	root.SetErr(o.stderr)
	root.AddCommand(
		newDemoCmd(o), newImportCmd(o), newRunCmd(o),
		newTraceCmd(o), newEventsCmd(o), newVerifyCmd(o), newDLQCmd(o),
		newConfigCmd(o), newCheckCmd(o), newSplitCmd(o), newMergeCmd(o), newResendCmd(o), newObserveCmd(o), newBrokerCmd(o),
		newBenchCmd(o), newCoverCmd(o),
	)
	return root
}

// version is what the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return describeBuild(info)
}

// describeBuild is the version of the module and, as far as the build knows them, the revision, its time, and whether the files were others.
func describeBuild(info *debug.BuildInfo) string {
	text := cmp.Or(info.Main.Version, "(unknown)")
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	if revision := vcs["vcs.revision"]; revision != "" {
		text += " " + revision
	}
	if at := vcs["vcs.time"]; at != "" {
		text += " of " + at
	}
	if vcs["vcs.modified"] == "true" {
		text += ", with changes"
	}
	return text + ", " + info.GoVersion
}
