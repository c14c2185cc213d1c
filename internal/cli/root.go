package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/inspect"
	"github.com/troupebus/troupe/internal/cli/moves"
)

// commandName matches names of commands that people can type.
var commandName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// newRootCmd returns the command line of a program.
func newRootCmd(o *console.Options) *cobra.Command {
	p := o.Program
	root := &cobra.Command{
		Use: p.Name, Short: p.Short, Long: p.Long, Example: p.Example, Version: console.Version(),
		SilenceErrors: true, SilenceUsage: true,
		Args: console.OnlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.Bind(root)
	root.SetIn(o.Stdin)
	root.SetOut(o.Stdout)
	root.SetErr(o.Stderr)
	root.AddCommand(
		newRunCmd(o),
		inspect.NewTraceCmd(o), inspect.NewEventsCmd(o), audit.NewVerifyCmd(o), inspect.NewDLQCmd(o),
		newConfigCmd(o), newCheckCmd(o), moves.NewSplitCmd(o), moves.NewMergeCmd(o),
		inspect.NewResendCmd(o), inspect.NewRetireCmd(o), audit.NewObserveCmd(o), newBrokerCmd(o),
		inspect.NewCoverCmd(o), newVetCmd(o),
	)
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			strictHelp(o, c)
		}
	}
	for _, c := range p.Commands {
		if !commandName.MatchString(c.Name) {
			p.Mistaken("Commands has the name %q: want lower-case letters, digits and dashes, the first one a letter", c.Name)
		}
		if c.Run == nil {
			p.Mistaken("command %s has no Run", c.Name)
		}
		for _, other := range root.Commands() {
			if other.Name() == c.Name {
				p.Mistaken("Commands has %q twice, or it is a command that every program has: choose another name", c.Name)
			}
		}
		root.AddCommand(newOwnCmd(o, c))
	}
	fill(o, root)
	return root
}

// strictHelp makes an unknown command an error of the command help. cobra would print the help of the root.
func strictHelp(o *console.Options, help *cobra.Command) {
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		about, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return console.UsageErrorf("unknown command %q\nsee '%s --help'", strings.Join(args, " "), o.Program.Name)
		}
		about.InitDefaultHelpFlag() // the help lists the flag
		return about.Help()
	}
}

// fill replaces the placeholders in the help texts of cmd and of its commands.
func fill(o *console.Options, cmd *cobra.Command) {
	for _, text := range []*string{&cmd.Use, &cmd.Short, &cmd.Long, &cmd.Example} {
		*text = o.Program.Fill(*text)
	}
	for _, c := range cmd.Commands() {
		fill(o, c)
	}
}
