package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
)

const checkLong = `check compares the settings files of all deployables of a system. Each module must run in exactly one
deployable, and all deployables must use the same transport and backend. check warns of deployables
that would clash on one host, and of addresses that lead clients to the wrong deployable.

Name the files of '{name} run --config': one for each deployable, or one for all of them. The default
is {name}.yaml. check reads only the files, not the environment, and does not use the network. check
also reports mistakes in the wiring of {name}. The exit code is 1 after a mistake, and 0 after
warnings.`

const checkExample = `  {name} check
  {name} check front.yaml back.yaml
  {name} check --json | jq '.wrong[].what'`

func newCheckCmd(o *console.Options) *cobra.Command {
	var named []string
	cmd := &cobra.Command{
		Use: "check [FILE...]", Short: "Check that the files of all deployables fit together",
		Long: checkLong, Example: checkExample,
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(_ *cobra.Command, files []string) error {
			if err := o.Program.CheckWiring(); err != nil {
				return err
			}
			if files = slices.Concat(named, files); len(files) == 0 {
				files = []string{o.Program.Config().DefaultFile()}
			}
			r := o.Program.Config().Check(files...)
			if err := printCheck(o, r); err != nil {
				return err
			}
			if len(r.Wrong) > 0 {
				return &console.ExitError{Code: console.ExitWrong}
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&named, "config", nil, "settings file, as for run; the same as an argument; may be repeated")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // only fails for a flag that does not exist
	return cmd
}

func printCheck(o *console.Options, r config.Report) error {
	if o.Json {
		return o.PrintJSON(struct {
			OK bool `json:"ok"`
			config.Report
		}{len(r.Wrong) == 0, r})
	}
	p := &console.Printer{O: o}
	for _, d := range r.Deployables {
		how := "without a transport"
		if d.Transport != transports.SQLite {
			how = strings.TrimSpace(fmt.Sprintf("over %s %s", d.Transport, d.At)) + ", topics " + d.Prefix + ".*"
		}
		p.Line("%s runs %s; %s; journal %s, http %s", d.Name, strings.Join(d.Modules, ", "), how, d.Journal, d.HTTP)
	}
	for _, m := range r.Wrong {
		p.Line("%s    %s", p.Paint(term.Red, "wrong"), console.Printable(m.String()))
	}
	for _, m := range r.Warnings {
		p.Line("%s  %s", p.Paint(term.Yellow, "warning"), console.Printable(m.String()))
	}
	if len(r.Wrong) == 0 {
		p.Line("%s", p.Paint(term.Green, "the deployables fit together"))
	} else {
		p.Line("%s", p.Paint(term.Red, fmt.Sprintf("%d wrong", len(r.Wrong))))
	}
	return p.Err
}
