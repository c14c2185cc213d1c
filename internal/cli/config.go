package cli

import (
	"cmp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/config"
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

func newConfigCmd(o *console.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Print the settings of run, and the source of each",
		Long: configLong, Example: configExample,
		Args: console.NoArgs,
	}
	flags := o.BindSettings(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, wrong := o.LoadSettingsOf(config.Input{Flags: flags, Environ: o.Environ})
		o.WarnOfSettings(l)
		if err := printSettings(o, l); err != nil {
			return err
		}
		return wrong
	}
	return cmd
}

func printSettings(o *console.Options, l *config.Loaded) error {
	if o.Json {
		return o.PrintJSON(struct {
			File       string       `json:"file"` // "" for no file
			Deployable string       `json:"deployable"`
			Settings   []config.Row `json:"settings"`
		}{l.File, l.Deployable, l.Rows()})
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range l.Rows() {
		_, _ = w.Write([]byte(strings.Join([]string{r.Setting, cmp.Or(console.Printable(r.Value), "-"), r.Source}, "\t") + "\n")) // a strings.Builder takes it all
	}
	_ = w.Flush()
	p := &console.Printer{O: o}
	p.Line("%s", strings.TrimSuffix(text.String(), "\n"))
	return p.Err
}
