package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// journalFlag gives cmd the flag that names the journal to look into.
func journalFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "journal", defaultJournal, "the journal's file")
	_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
}

// readJournal runs fn on the journal at path, which may be in use.
func readJournal(ctx context.Context, path string, fn func(*sqlite.Reader) error) error {
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(fn(r), r.Close())
}

// invocation is the command line for what to type next on the journal at path; "" where a word of it cannot be typed.
func invocation(path string, args ...string) string {
	if path = here(path); path != defaultJournal {
		args = append(slices.Clone(args), "--journal", path)
	}
	return typed(args...)
}

// typed is the command line that has args; "" where one of them cannot be typed: it came from elsewhere, and has characters in it
// that a terminal does not show.
func typed(args ...string) string {
	words := append([]string{program()}, args...)
	for i, w := range words {
		if !journal.IsPrintable(w) {
			return ""
		}
		words[i] = quoteArg(w)
	}
	return strings.Join(words, " ")
}

// here is path as it is seen from the working folder.
func here(path string) string {
	if folder, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(short) {
			return short
		}
	}
	return path
}

// sinceFlag is a point in time, given as such or as how long ago it was.
type sinceFlag struct{ time.Time }

// Set implements pflag.Value.
func (s *sinceFlag) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("want how long ago (30m, 24h) or a time (2026-01-31T08:00:00Z)")
	}
	s.Time = at
	return nil
}

// String implements pflag.Value.
func (s *sinceFlag) String() string {
	if s.IsZero() {
		return ""
	}
	return s.Format(time.RFC3339)
}

// Type implements pflag.Value.
func (*sinceFlag) Type() string { return "AGO|TIME" }

// complete makes the shell offer, for a flag, what pick finds in the subscriptions of the journal at path.
func complete(cmd *cobra.Command, flag string, path *string, pick func(sqlite.SubscriptionStats) []string) {
	offer := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		err := readJournal(cmd.Context(), *path, func(r *sqlite.Reader) error {
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

func eventTypes(s sqlite.SubscriptionStats) []string { return s.Types }

func subscriptionNames(s sqlite.SubscriptionStats) []string { return []string{s.Name} }

// program is how the program was called, when that was by its name: what is to be typed next works from the same place.
func program() string {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == "troupe" {
		return os.Args[0]
	}
	return "troupe"
}
