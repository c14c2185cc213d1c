package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

// On a journal in use, replay waits for the results for replayPatience, and reads the journal every replayPace.
const (
	ReplayPatience = 3 * time.Second
	replayPace     = 50 * time.Millisecond
)

const dlqReplayLong = `replay gives dead letters another attempt: the dead letters with these IDs, of a subscription,
of a type of event, or all. Only the subscription that failed gets the event again. The
order of each key is kept: events blocked by a dead letter continue after it.

If a process runs on the journal, the process handles the events at once, and replay waits up
to 3 s for the results. Otherwise the events are handled when the program next runs on the
journal. The exit code is 1 when an event is dead again.

With IDs, replay takes all dead letters or none. Otherwise replay takes some hundred at a
time, so that the process can write in between. Dead letters of a subscription that the
program no longer has stay as they are, and are listed.`

func newDLQReplayCmd(o *console.Options) *cobra.Command {
	var path string
	var all bool
	var a sqlite.Act
	cmd := &cobra.Command{
		Use: "replay [ID...]", Short: "Give dead letters another attempt",
		Long: dlqReplayLong,
		Example: `  {name} dlq replay 3 5 --reason "the server is back"
  {name} dlq replay --subscription {module}/HANDLER --reason "fixed in 1.4"
  {name} dlq replay --all`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: completeLetters(&path),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if a.Select.IDs, err = letterIDs(o, args); err != nil {
				return err
			}
			chosen := a.Select.Subscription != "" || a.Select.Type != ""
			switch {
			case len(args) == 0 && !chosen && !all:
				return console.UsageErrorf("no dead letters are chosen: give ids, --subscription, --type or --all; '%s dlq list' lists them", o.Program.Name)
			case len(args) > 0 && (chosen || all), all && chosen:
				return console.UsageErrorf("ids, --subscription with --type, and --all exclude each other: give one of the three")
			}
			return replayLetters(cmd.Context(), o, path, a)
		},
	}
	o.JournalFlag(cmd, &path)
	selectionFlags(cmd, &path, &a.Select)
	reasonFlag(cmd, &a.Reason)
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	return cmd
}

func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "the reason, recorded in the journal")
}

// hinted adds to the error of an act on the journal at path the command line that helps.
func hinted(o *console.Options, path string, err error) error {
	switch {
	case errors.Is(err, sqlite.ErrObserver):
		return fmt.Errorf("%w; '%s' lists the dead letters there", err, o.Typed("dlq", "list", "--journal", "FILE"))
	case errors.Is(err, sqlite.ErrBooks):
		return fmt.Errorf("%w%s", err, console.Hint(o.Invocation(path, "verify")))
	}
	return err
}

// replayed is the result of a replay, with the ids of the dead letters.
type replayed struct {
	Running bool            `json:"running"`    // a process ran on the journal
	Done    []int64         `json:"replayed"`   // handled
	Dead    []int64         `json:"dead_again"` // failed again
	Dropped []int64         `json:"dropped"`    // by the handler
	Waiting []int64         `json:"waiting"`    // for an earlier event, a retry, or a process
	Removed []removedLetter `json:"removed"`    // not replayed: the subscription was removed

	owner console.Owner // of the journal
}

// removedLetter counts the dead letters of a removed subscription.
type removedLetter struct {
	Subscription string `json:"subscription"`
	Letters      int    `json:"dead_letters"`
}

func replayLetters(ctx context.Context, o *console.Options, path string, a sqlite.Act) error {
	if err := o.MayChange(ctx, "dlq replay", path); err != nil {
		return err
	}
	removed := []removedLetter{}
	a.Left = func(subscription string, letters int) {
		removed = append(removed, removedLetter{subscription, letters})
	}
	var letters []int64
	a.Each = func(batch []journal.DeadLetter) {
		for i := range batch {
			letters = append(letters, batch[i].ID)
		}
	}
	if _, err := sqlite.Replay(ctx, path, a); err != nil {
		return hinted(o, path, err)
	}
	slices.SortFunc(removed, func(a, b removedLetter) int { return strings.Compare(a.Subscription, b.Subscription) })
	running, _ := sqlite.Owned(path)
	var done replayed
	var of console.Owner
	err := console.ReadJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		path = r.Path()
		if of, err = o.OwnerOf(ctx, r); err != nil {
			return err
		}
		if done, err = becameOf(ctx, r, letters); err != nil || !running {
			return err
		}
		done.Running = true
		return done.watch(ctx, r, letters)
	})
	done.Removed, done.owner = removed, of
	if err != nil {
		return fmt.Errorf("%s replayed, but the results are unknown: %w", console.Count(len(letters), "dead letter"), err)
	}
	if err := done.print(o, path); err != nil {
		return err
	}
	if len(done.Dead) > 0 || len(removed) > 0 && len(letters) == 0 {
		return &console.ExitError{Code: console.ExitWrong}
	}
	return nil
}

// watch updates r until no letter waits, at most for replayPatience. The replay itself continues afterwards.
func (r *replayed) watch(ctx context.Context, reader *sqlite.Reader, letters []int64) error {
	enough := time.After(ReplayPatience)
	tick := time.NewTicker(replayPace)
	defer tick.Stop()
	for len(r.Waiting) > 0 {
		select {
		case <-enough:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := becameOf(ctx, reader, letters)
		if err != nil {
			return err
		}
		now.Running = true
		*r = now
	}
	return nil
}

// becameOf returns the present results of a replay of the dead letters with ids.
func becameOf(ctx context.Context, r *sqlite.Reader, ids []int64) (replayed, error) {
	done := replayed{
		Done: []int64{}, Dead: []int64{}, Dropped: []int64{}, Waiting: []int64{}, Removed: []removedLetter{},
	}
	now, err := r.LetterStatuses(ctx, ids)
	for _, id := range ids {
		list := map[journal.LetterStatus]*[]int64{
			journal.LetterDead: &done.Dead, journal.LetterReplaying: &done.Waiting,
			journal.LetterReplayed: &done.Done, journal.LetterDropped: &done.Dropped,
		}[now[id]]
		if list != nil {
			*list = append(*list, id)
		}
	}
	return done, err
}

func (r replayed) print(o *console.Options, path string) error {
	if o.Json {
		return o.PrintJSON(r)
	}
	p := &console.Printer{O: o}
	if n := len(r.Done); n > 0 {
		p.Line("%s: handled", p.Paint(term.Green, console.Count(n, "dead letter")))
	}
	if n := len(r.Dropped); n > 0 {
		p.Line("%s: dropped by the handler", console.Count(n, "dead letter"))
	}
	switch n := len(r.Waiting); {
	case n > 0 && r.Running:
		p.Line("%s: still waiting or being retried%s", p.Paint(term.Yellow, console.Count(n, "dead letter")), console.Hint(o.Invocation(path, "dlq", "list", "--status", "replaying")))
	case n > 0:
		p.Line("%s: to be replayed when %s next runs on %s", p.Paint(term.Yellow, console.Count(n, "dead letter")), console.Printable(r.owner.Runs()), console.Printable(path))
	}
	for _, l := range r.Removed {
		p.Line("%s of %s: not replayed, because the program that ran last has no such subscription; run a program that has the subscription, or: %s",
			p.Paint(term.Yellow, console.Count(l.Letters, "dead letter")), console.Printable(l.Subscription),
			o.Invocation(path, "dlq", "drop", "--subscription", l.Subscription, "--reason", "WHY"))
	}
	if n := len(r.Dead); n > 0 {
		p.Line("%s: dead again%s", p.Paint(term.Red, console.Count(n, "dead letter")), console.Hint(o.Invocation(path, "dlq", "show", fmt.Sprint(r.Dead[0]))))
	}
	return p.Err
}
