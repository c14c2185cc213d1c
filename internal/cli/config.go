package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
)

const configLong = `config prints the settings of '{name} run', and the source of each value. It takes the same flags.
Settings can be in a file, in variables and in flags. The file is {name}.yaml in the working folder,
or the file of --config:

  file                          variable               flag
  modules: [order, payment]     {NAME}_MODULES         --modules order,payment
  transport: kafka              {NAME}_TRANSPORT       --transport kafka
  kafka:
    brokers: [kafka-1:9092]     {NAME}_KAFKA_BROKERS   --brokers kafka-1:9092
    client-id: shop             {NAME}_KAFKA_CLIENT_ID --kafka-client-id shop

A variable has the name of the keys in the file. The name of the flag works, too: {NAME}_BROKERS. A
flag overrides a variable, and a variable overrides the file. An empty variable counts as not set.
Passwords have no flag, and are shown as (set).

A file can describe several deployables, beside shared settings; --deployable chooses one:

  transport: kafka
  kafka: {brokers: [kafka-1:9092]}
  deployables:
    front: {modules: [order, notification, inventory], journal: front.db}
    back:  {modules: [payment, shipping], journal: back.db, http: 127.0.0.1:8081}

Paths are relative to the working folder. All mistakes are reported together, with exit code 2.`

const configExample = `  {name} config
  {name} config --config {name}.yaml --deployable back
  {NAME}_TRANSPORT=kafka {name} config --brokers kafka-1:9092 --json`

func newConfigCmd(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Print the settings of run, and the source of each",
		Long: configLong, Example: configExample,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := o.bindSettings(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, wrong := o.loadSettingsOf(config.Input{Flags: flags, Environ: o.environ})
		o.warnOfSettings(l)
		if err := printSettings(o, l); err != nil {
			return err
		}
		return wrong
	}
	return cmd
}

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

func printSettings(o *options, l *config.Loaded) error {
	if o.json {
		return o.printJSON(struct {
			File       string       `json:"file"` // "" for no file
			Deployable string       `json:"deployable"`
			Settings   []config.Row `json:"settings"`
		}{l.File, l.Deployable, l.Rows()})
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range l.Rows() {
		_, _ = w.Write([]byte(strings.Join([]string{r.Setting, cmp.Or(printable(r.Value), "-"), r.Source}, "\t") + "\n")) // a strings.Builder takes it all
	}
	_ = w.Flush()
	p := &printer{o: o}
	p.Line("%s", strings.TrimSuffix(text.String(), "\n"))
	return p.err
}
