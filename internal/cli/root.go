package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// commandName matches names of commands that people can type.
var commandName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// newRootCmd returns the command line of a program.
func newRootCmd(o *options) *cobra.Command {
	p := o.program
	root := &cobra.Command{
		Use: p.Name, Short: p.Short, Long: p.Long, Example: p.Example, Version: version(),
		SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("unknown command %q\nsee '%s --help'", args[0], p.Name)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.bind(root)
	root.SetIn(o.stdin)
	root.SetOut(o.stdout)
	root.SetErr(o.stderr)
	root.AddCommand(
		newRunCmd(o),
		newTraceCmd(o), newEventsCmd(o), newVerifyCmd(o), newDLQCmd(o),
		newConfigCmd(o), newCheckCmd(o), newSplitCmd(o), newMergeCmd(o), newResendCmd(o), newObserveCmd(o), newBrokerCmd(o),
		newCoverCmd(o),
	)
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			o.strictHelp(c)
		}
	}
	for _, c := range p.Commands {
		if !commandName.MatchString(c.Name) {
			p.mistaken("Commands has the name %q: want lower-case letters, digits and dashes, the first one a letter", c.Name)
		}
		if c.Run == nil {
			p.mistaken("command %s has no Run", c.Name)
		}
		for _, other := range root.Commands() {
			if other.Name() == c.Name {
				p.mistaken("Commands has %q twice, or it is a command that every program has: choose another name", c.Name)
			}
		}
		root.AddCommand(newOwnCmd(o, c))
	}
	o.fill(root)
	return root
}

// strictHelp makes an unknown command an error of the command help. cobra would print the help of the root.
func (o *options) strictHelp(help *cobra.Command) {
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		about, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return usageErrorf("unknown command %q\nsee '%s --help'", strings.Join(args, " "), o.program.Name)
		}
		about.InitDefaultHelpFlag() // the help lists the flag
		return about.Help()
	}
}

// fill replaces the placeholders in the help texts of cmd and of its commands.
func (o *options) fill(cmd *cobra.Command) {
	for _, text := range []*string{&cmd.Use, &cmd.Short, &cmd.Long, &cmd.Example} {
		*text = o.program.fill(*text)
	}
	for _, c := range cmd.Commands() {
		o.fill(c)
	}
}
