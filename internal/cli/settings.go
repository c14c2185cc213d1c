package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
)

// bindSettings adds the flags of settings to cmd; paths choose settings, as config.Program.Bind says.
func (o *options) bindSettings(cmd *cobra.Command, paths ...string) *config.Flags {
	f := o.program.config().Bind(cmd.Flags(), paths...)
	o.flagsOfSettings(cmd)
	return f
}

// bindOwnSettings adds the flags of the settings that only this program has to cmd.
func (o *options) bindOwnSettings(cmd *cobra.Command) *config.Flags {
	f := o.program.config().BindOwn(cmd.Flags())
	o.flagsOfSettings(cmd)
	return f
}

// flagsOfSettings prepares cmd, which has flags of settings, for mistakes in flags and for completion.
func (o *options) flagsOfSettings(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false // the order of the table groups the flags
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			if instead, secret := o.program.config().Secret(unknown.GetSpecifiedName()); secret {
				return usageErrorf("--%s: %s", unknown.GetSpecifiedName(), instead)
			}
		}
		return usageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
	})
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions(transports.Kinds(), cobra.ShellCompDirectiveNoFileComp))
	if cmd.Flags().Lookup("modules") != nil {
		_ = cmd.RegisterFlagCompletionFunc("modules", cobra.FixedCompletions(o.program.modules(), cobra.ShellCompDirectiveNoFileComp))
	}
}

// loadSettingsOf reads the settings of this process. Mistakes are a usage error, and the other settings are returned
// even then.
func (o *options) loadSettingsOf(in config.Input) (*config.Loaded, error) {
	l, err := o.program.config().Load(in)
	if err != nil {
		err = usageErrorf("%w\nsee '%[2]s config' for the current settings, and '%[2]s config --help'", err, o.program.Name)
	}
	return l, err
}

// warnOfSettings warns of unused variables, and of files with secrets that every user can read.
func (o *options) warnOfSettings(l *config.Loaded) {
	for _, w := range slices.Concat(o.program.config().UnknownVariables(o.environ), l.ReadableSecrets()) {
		_, _ = fmt.Fprintln(o.stderr, "warning: "+printable(w.String())) // a lost warning is no failure
	}
}
