package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// How long to wait for what becomes of a replay on a journal that is in use, and how often to look.
const (
	replayPatience = 3 * time.Second
	replayPace     = 50 * time.Millisecond
)

const dlqReplayLong = `replay gives dead letters another chance: those with the ids given, those of a
subscription or of a type of event, or all that are dead. Only the subscription that failed
gets the event again. The order of each key is kept: what is blocked behind a dead letter
goes on after it.

While a process runs on the journal, it takes them up at once, and replay waits up to 3 s
to tell what became of them. Otherwise they run when the program next runs on it. The exit
code is 1 when one is dead again.

With ids it is all of them or none. Otherwise they are taken some hundred at a time, so that
others can write in between. Those of a subscription that the program no longer has are left
as they are, and named: nobody would handle them.`

func newDLQReplayCmd(o *options) *cobra.Command {
	var path string
	var all bool
	var a sqlite.Act
	cmd := &cobra.Command{
		Use: "replay [ID...]", Short: "Give dead letters another chance",
		Long: dlqReplayLong,
		Example: `  {name} dlq replay 3 5 --reason "the server is back"
  {name} dlq replay --subscription {module}/HANDLER --reason "fixed in 1.4"
  {name} dlq replay --all`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: completeLetters(&path),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if a.Select.IDs, err = o.letterIDs(args); err != nil {
				return err
			}
			chosen := a.Select.Subscription != "" || a.Select.Type != ""
			switch {
			case len(args) == 0 && !chosen && !all:
				return usageErrorf("which ones? Give ids, --subscription, --type or --all; '%s dlq list' shows what there is", o.program.Name)
			case len(args) > 0 && (chosen || all), all && chosen:
				return usageErrorf("give ids, or --subscription and --type, or --all: not more than one of these")
			}
			return replayLetters(cmd.Context(), o, path, a)
		},
	}
	o.journalFlag(cmd, &path)
	selectionFlags(cmd, &path, &a.Select)
	reasonFlag(cmd, &a.Reason)
	cmd.Flags().BoolVar(&all, "all", false, "all that are dead")
	return cmd
}

func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for the record")
}

// replayed is what became of a replay.
type replayed struct {
	Running bool    `json:"running"`    // a process was running on the journal
	Done    []int64 `json:"replayed"`   // handled after all
	Dead    []int64 `json:"dead_again"` // failed again
	Dropped []int64 `json:"dropped"`    // given up by the handler
	Waiting []int64 `json:"waiting"`    // for their turn, for their next attempt, or for a process to run
	Removed []left  `json:"removed"`    // left as they are: nobody would handle them

	owner owner // of the journal
}

// left are the dead letters of a removed subscription.
type left struct {
	Subscription string `json:"subscription"`
	Letters      int    `json:"dead_letters"`
}

func replayLetters(ctx context.Context, o *options, path string, a sqlite.Act) error {
	removed := []left{}
	a.Left = func(subscription string, letters int) { removed = append(removed, left{subscription, letters}) }
	var letters []int64
	a.Each = func(batch []journal.DeadLetter) {
		for i := range batch {
			letters = append(letters, batch[i].ID)
		}
	}
	if _, err := sqlite.Replay(ctx, path, a); err != nil {
		return err
	}
	slices.SortFunc(removed, func(a, b left) int { return strings.Compare(a.Subscription, b.Subscription) })
	running, _ := sqlite.Owned(path)
	var done replayed
	var of owner
	err := readJournal(ctx, path, func(r *sqlite.Reader) (err error) {
		path = r.Path()
		if of, err = o.ownerOf(ctx, r); err != nil {
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
		return fmt.Errorf("%s replayed, but what became of them is unknown: %w", count(len(letters), "dead letter"), err)
	}
	if err := done.print(o, path); err != nil {
		return err
	}
	if len(done.Dead) > 0 || len(removed) > 0 && len(letters) == 0 {
		return &exitError{code: exitWrong}
	}
	return nil
}

// watch returns when none of letters waits any more, or after a while: the replay goes on without it.
func (r *replayed) watch(ctx context.Context, reader *sqlite.Reader, letters []int64) error {
	enough := time.After(replayPatience)
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

// becameOf looks what the dead letters with these ids are now.
func becameOf(ctx context.Context, r *sqlite.Reader, ids []int64) (replayed, error) {
	done := replayed{Done: []int64{}, Dead: []int64{}, Dropped: []int64{}, Waiting: []int64{}, Removed: []left{}}
	now, err := r.LetterStatuses(ctx, ids)
	for _, id := range ids {
		list := map[journal.LetterStatus]*[]int64{
			journal.LetterDead: &done.Dead, journal.LetterReplaying: &done.Waiting, journal.LetterReplayed: &done.Done, journal.LetterDropped: &done.Dropped,
		}[now[id]]
		if list != nil {
			*list = append(*list, id)
		}
	}
	return done, err
}

func (r replayed) print(o *options, path string) error {
	if o.json {
		return o.printJSON(r)
	}
	p := &printer{o: o}
	if n := len(r.Done); n > 0 {
		p.line("%s: handled", p.paint(green, count(n, "dead letter")))
	}
	if n := len(r.Dropped); n > 0 {
		p.line("%s: dropped by the handler", count(n, "dead letter"))
	}
	switch n := len(r.Waiting); {
	case n > 0 && r.Running:
		p.line("%s: still waiting or being retried%s", p.paint(yellow, count(n, "dead letter")), hint(o.invocation(path, "dlq", "list", "--status", "replaying")))
	case n > 0:
		p.line("%s: to be replayed when %s next runs on %s", p.paint(yellow, count(n, "dead letter")), printable(r.owner.runs()), printable(path))
	}
	for _, l := range r.Removed {
		p.line("%s of %s: left as they are, for the program that ran last has no such subscription; run one that has it, or: %s",
			p.paint(yellow, count(l.Letters, "dead letter")), printable(l.Subscription),
			o.invocation(path, "dlq", "drop", "--subscription", l.Subscription, "--reason", "WHY"))
	}
	if n := len(r.Dead); n > 0 {
		p.line("%s: dead again%s", p.paint(red, count(n, "dead letter")), hint(o.invocation(path, "dlq", "show", fmt.Sprint(r.Dead[0]))))
	}
	return p.err
}
