package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
)

// newOwnCmd returns a command of the App.
func newOwnCmd(o *console.Options, c console.Command) *cobra.Command {
	var journal string
	var flags *config.Flags
	cmd := &cobra.Command{
		Use: c.Name, Short: c.Short, Long: c.Long, Example: c.Example, Hidden: c.Hidden,
		Args: console.NoArgs,
	}
	if c.Args != "" {
		cmd.Use += " " + c.Args
		cmd.Args = cobra.ArbitraryArgs
	}
	if c.Flags != nil {
		f := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		if err := o.Program.Guard("Flags of command "+c.Name, func() { c.Flags(f) }); err != nil {
			panic(err) // execute recovers
		}
		cmd.Flags().AddGoFlagSet(f)
	}
	if !c.Alone {
		if cmd.Flags().Lookup("journal") != nil {
			o.Program.Mistaken("command %s has a flag --journal: every command that runs the modules has one already", c.Name)
		}
		help := "journal file, created if missing"
		if c.Journal == "" {
			help += "; defaults to the journal of the settings"
		}
		cmd.Flags().StringVar(&journal, "journal", c.Journal, help)
		_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
		flags = o.BindOwnSettings(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.Program.CheckArgs(c, args); err != nil {
			return err
		}
		call := &console.Call{
			Args: args, In: cmd.InOrStdin(), Out: o.Stdout, Err: o.Stderr,
			JSON: o.Json, Color: o.Color(), Terminal: o.IsTerminal, O: o,
		}
		if c.Alone {
			return o.Program.RunCommand(cmd.Context(), c, call)
		}
		return runOwn(cmd.Context(), o, c, call, journal, flags)
	}
	return cmd
}

// journalOf returns the journal for a command that runs all modules: path, or else the journal of the settings.
// Settings of several deployables name no such journal.
func journalOf(o *console.Options, path string, l *config.Loaded) (string, error) {
	if path != "" {
		return path, nil
	}
	several := l.File != "" && len(o.Program.Config().Described(l.File)) > 0
	if several || l.Backend.Kind != transports.SQLite {
		return "", fmt.Errorf("the settings describe deployables with transport %s, but this command runs all modules in one process,"+
			" without a transport: name a journal with --journal, or ask a deployable", l.Backend.Kind)
	}
	return l.Journal, nil
}

// runOwn runs c with all modules on the journal at path. The settings apply except for modules, name and transport.
func runOwn(
	ctx context.Context, o *console.Options, c console.Command, call *console.Call, path string, flags *config.Flags,
) error {
	l, err := o.LoadSettingsOf(config.Input{Flags: flags, Environ: o.Environ, Shared: true, Runs: true})
	if err != nil {
		return err
	}
	o.WarnOfSettings(l)
	if path, err = journalOf(o, path, l); err != nil {
		return console.UsageErrorf("%s: %w", c.Name, err)
	}
	l.Apply()
	policies, err := o.Program.PoliciesOf(c)
	if err != nil {
		return err
	}
	// Warnings such as retries would disturb the output of the command.
	logger := slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	r, err := open(ctx, o, deployment{
		name: o.Program.Name, journal: path, bus: policies, logger: logger,
		instead: "this command runs all modules: name a journal that has them, or ask the deployable",
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	call.Doors, call.Bus, call.Deployable = r.doors, r.bus, r.Deployable
	call.Audit = func(ctx context.Context) (console.Verification, error) {
		v, err := audit.Verify(ctx, o, r.Journal.Reader())
		if err != nil {
			return console.Verification{}, err
		}
		return console.Verification{OK: v.OK, Settled: v.Settled, Wrong: v.Wrong, Books: v.Books, Stats: v.Stats}, nil
	}
	err = r.run(ctx, func(ctx context.Context) error { return o.Program.RunCommand(ctx, c, call) })
	return closed(ctx, r, err, c.Name)
}

// closed closes r after err, and returns the errors of both. If a signal ended the command, the error says so.
func closed(ctx context.Context, r *running, err error, name string) error {
	err = errors.Join(err, r.close())
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("stopped by a signal; all that was committed is kept")
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
