package console

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
)

// BindSettings adds the flags of settings to cmd; paths choose settings, as config.Program.Bind says.
func (o *Options) BindSettings(cmd *cobra.Command, paths ...string) *config.Flags {
	f := o.Program.Config().Bind(cmd.Flags(), paths...)
	o.flagsOfSettings(cmd)
	return f
}

// BindOwnSettings adds the flags of the settings that only this program has to cmd.
func (o *Options) BindOwnSettings(cmd *cobra.Command) *config.Flags {
	f := o.Program.Config().BindOwn(cmd.Flags())
	o.flagsOfSettings(cmd)
	return f
}

// flagsOfSettings prepares cmd, which has flags of settings, for mistakes in flags and for completion.
func (o *Options) flagsOfSettings(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false // the order of the table groups the flags
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			if instead, secret := o.Program.Config().Secret(unknown.GetSpecifiedName()); secret {
				return UsageErrorf("--%s: %s", unknown.GetSpecifiedName(), instead)
			}
		}
		return UsageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
	})
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions(transports.Kinds(), cobra.ShellCompDirectiveNoFileComp))
	if cmd.Flags().Lookup("modules") != nil {
		_ = cmd.RegisterFlagCompletionFunc("modules", cobra.FixedCompletions(o.Program.Modules(), cobra.ShellCompDirectiveNoFileComp))
	}
}

// LoadSettingsOf reads the settings of this process. Mistakes are a usage error, and the other settings are returned
// even then.
func (o *Options) LoadSettingsOf(in config.Input) (*config.Loaded, error) {
	l, err := o.Program.Config().Load(in)
	if err != nil {
		err = UsageErrorf("%w\nsee '%[2]s config' for the current settings, and '%[2]s config --help'", err, o.Program.Name)
	}
	return l, err
}

// WarnOfSettings warns of unused variables, and of files with secrets that every user can read.
func (o *Options) WarnOfSettings(l *config.Loaded) {
	for _, w := range slices.Concat(o.Program.Config().UnknownVariables(o.Environ), l.ReadableSecrets()) {
		_, _ = fmt.Fprintln(o.Stderr, "warning: "+Printable(w.String())) // a lost warning is no failure
	}
}
