package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

const verifyLong = `verify audits the shop and the journal that it runs on. The books: goods, money, parcels
and notices of each order agree with each other, in every module's tables. The journal:
each event has exactly one record for each subscription that wants it. While something is
still open (a retry, a blocked key, an event to come), orders under way may be unfinished;
once all is settled each of them must have its end.

It changes nothing and may run beside the shop. The exit code is 1 when something is wrong.`

const verifyExample = `  troupe verify
  troupe verify --journal shop.db --json`

func newVerifyCmd(o *options) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "verify", Short: "Audit the books and the journal",
		Long: verifyLong, Example: verifyExample,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return readJournal(cmd.Context(), path, func(r *sqlite.Reader) error {
				v, err := verify(cmd.Context(), r)
				if err != nil {
					return err
				}
				if err := v.print(o, r.Path()); err != nil {
					return err
				}
				if !v.OK {
					return &exitError{code: exitWrong}
				}
				return nil
			})
		},
	}
	journalFlag(cmd, &path)
	return cmd
}

// verification is the outcome of an audit.
type verification struct {
	OK      bool          `json:"ok"`
	Settled bool          `json:"settled"`         // nothing is open in the journal: each order must have its end
	Wrong   []string      `json:"wrong"`           // everything, in words; never nil
	Books   *books.Report `json:"books,omitempty"` // nil where no shop has run yet
	Stats   sqlite.Stats  `json:"journal"`
}

// verify checks the books of the shop, as they are at one instant, and the journal of r.
func verify(ctx context.Context, r *sqlite.Reader) (verification, error) {
	v := verification{Wrong: []string{}}
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		if ready, err := hasShop(ctx, tx); err != nil || !ready {
			return err
		}
		if v.Settled, err = sqlite.Settled(ctx, tx); err != nil {
			return err
		}
		report, err := books.Verify(ctx, tx, v.Settled)
		v.Books = &report
		return err
	})
	if err != nil {
		return v, err
	}
	if v.Books != nil {
		for _, p := range v.Books.Wrong {
			v.Wrong = append(v.Wrong, describeProblem(p))
		}
	}
	found, err := r.Check(ctx)
	if err != nil {
		return v, err
	}
	for _, what := range found {
		v.Wrong = append(v.Wrong, "journal: "+what)
	}
	v.OK = len(v.Wrong) == 0
	v.Stats, err = r.Stats(ctx)
	return v, err
}

// hasShop says whether the tables of all modules are there: a shop that was killed at its first start has some of them.
func hasShop(ctx context.Context, tx *sql.Tx) (ready bool, err error) {
	err = tx.QueryRowContext(ctx, `
SELECT count(DISTINCT module) = 5 FROM migrations WHERE module IN ('order', 'inventory', 'payment', 'shipping', 'notification')`).Scan(&ready)
	return ready, err
}

func (v *verification) print(o *options, path string) error {
	if o.json {
		return o.printJSON(v)
	}
	p := &printer{o: o}
	if b := v.Books; b == nil {
		p.line("books    no shop has run on this journal yet")
	} else {
		p.line("books    %d orders: %d completed, %d cancelled, %d returned, %d open", b.Orders, b.Completed, b.Cancelled, b.Returned, b.Open)
		p.line("         charged %s, refunded %s, sold for %s", cents(b.Charged), cents(b.Refunded), cents(b.Sold))
	}
	s := &v.Stats
	recorded := int64(0)
	for _, n := range s.Deliveries {
		recorded += n
	}
	p.line("journal  %d events, %d deliveries, %d retries", s.Events, recorded, s.Retries)
	if !v.Settled && v.Books != nil {
		p.line("open     %s: orders under way may be unfinished", v.open())
	}
	if dead := s.DeadLetters[journal.LetterDead]; dead > 0 {
		p.line("dead     %s; next: %s", count(int(dead), "dead letter"), invocation(path, "dlq", "list"))
	}
	for _, what := range v.Wrong {
		p.line("%s    %s", p.paint(red, "wrong"), printable(what))
	}
	if v.OK {
		p.line("%s", p.paint(green, "everything adds up"))
	} else {
		p.line("%s", p.paint(red, fmt.Sprintf("%d wrong", len(v.Wrong))))
	}
	return p.err
}

// open counts what is under way.
func (v *verification) open() string {
	lag := int64(0)
	for _, s := range v.Stats.Subscriptions {
		if s.Kind == "bus" {
			lag += s.Lag
		}
	}
	s := &v.Stats
	parts := []string{}
	for _, c := range []struct {
		n    int64
		what string
	}{{lag, "waiting"}, {s.Deliveries[journal.Retrying], "retrying"}, {s.Deliveries[journal.Blocked], "blocked"}, {s.Delayed, "to come"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(parts) == 0 {
		return "a key is parked"
	}
	return strings.Join(parts, ", ")
}
