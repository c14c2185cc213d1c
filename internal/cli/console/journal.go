package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// JournalFlag adds the flag for the journal to cmd.
func (o *Options) JournalFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "journal", o.Program.Journal(), "journal file")
	_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
}

// ReadJournal runs fn on the journal at path, which may be in use.
func ReadJournal(ctx context.Context, path string, fn func(*sqlite.Reader) error) error {
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		return err
	}
	err = fn(r)
	if closed := r.Close(); closed != nil { // Join would wrap a single error, too, and run needs the type
		err = errors.Join(err, closed)
	}
	return err
}

// ReadJournal runs fn on the journal at path, which may be in use, and warns when the newest events are missing.
func (o *Options) ReadJournal(ctx context.Context, path string, fn func(*sqlite.Reader) error) error {
	return ReadJournal(ctx, path, func(r *sqlite.Reader) error {
		if err := r.Whole(ctx); err != nil {
			_, _ = fmt.Fprintf(o.Stderr, "warning: %s: %s\n", Printable(path), Printable(err.Error())) // a lost warning is no failure
		}
		return fn(r)
	})
}

// Invocation returns a command line of this program for the journal at path, as Typed does.
func (o *Options) Invocation(path string, args ...string) string {
	if path = Here(path); path != o.Program.Journal() {
		args = append(slices.Clone(args), "--journal", path)
	}
	return o.Typed(args...)
}

// Typed returns the command line with args, quoted for a shell. It returns "" if an argument has characters that a
// person cannot type: a key or a path may come from elsewhere.
func (o *Options) Typed(args ...string) string {
	words := append([]string{o.Program.called()}, args...)
	for i, w := range words {
		if !journal.IsPrintable(w) {
			return ""
		}
		words[i] = QuoteArg(w)
	}
	return strings.Join(words, " ")
}

// Here returns path relative to the working folder, if path is below the folder.
func Here(path string) string {
	if folder, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(short) {
			return short
		}
	}
	return path
}

// SinceFlag is a flag for a time: an absolute time, or a duration before now.
type SinceFlag struct{ time.Time }

// Set implements pflag.Value.
func (s *SinceFlag) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("want a duration before now (30m, 24h) or a time (2026-01-31T08:00:00Z)")
	}
	s.Time = at
	return nil
}

// String implements pflag.Value.
func (s *SinceFlag) String() string {
	if s.IsZero() {
		return ""
	}
	return s.Format(time.RFC3339)
}

// Type implements pflag.Value.
func (*SinceFlag) Type() string { return "AGO|TIME" }

// Complete registers the completion of a flag with the names that pick returns for each subscription of the journal at
// path.
func Complete(cmd *cobra.Command, flag string, path *string, pick func(sqlite.SubscriptionStats) []string) {
	offer := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		err := ReadJournal(cmd.Context(), *path, func(r *sqlite.Reader) error {
			subs, err := r.Subscriptions(cmd.Context())
			for _, s := range subs {
				names = append(names, pick(s)...)
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		slices.Sort(names)
		return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
	}
	_ = cmd.RegisterFlagCompletionFunc(flag, offer) // only fails for a flag that does not exist, or twice
}

// EventTypes returns the types of a subscription, for Complete.
func EventTypes(s sqlite.SubscriptionStats) []string { return s.Types }

// SubscriptionNames returns the name of a subscription, for Complete.
func SubscriptionNames(s sqlite.SubscriptionStats) []string { return []string{s.Name} }

// QuoteArg quotes s as a word for a shell.
func QuoteArg(s string) string {
	if s != "" && !strings.ContainsFunc(s, needsQuotes) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func needsQuotes(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,", r)
	return !plain
}

// Newest returns the seq of the newest event, or 0 for a journal without events.
func Newest(ctx context.Context, r *sqlite.Reader) (seq int64, err error) {
	err = r.Events(ctx, sqlite.EventFilter{Newest: true, Limit: 1}, func(e *journal.Event) error {
		seq = e.Seq
		return nil
	})
	return seq, err
}
