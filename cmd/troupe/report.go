package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

// report is the result of a run of the shop. The counts are of the whole journal, the times and rates of the run.
type report struct {
	Journal     string         `json:"journal"`
	Orders      int            `json:"orders"` // includes credit notes
	EndStates   map[string]int `json:"end_states"`
	Events      int64          `json:"events"`
	Reactions   int64          `json:"reactions"`
	Retries     int64          `json:"retries"`
	DeadLetters int64          `json:"dead_letters"`
	Verify      verdict        `json:"verify"`

	Placed             int      `json:"placed"` // in this run
	Seconds            float64  `json:"seconds"`
	FlowsPerSecond     float64  `json:"flows_per_second"`
	ReactionsPerSecond float64  `json:"reactions_per_second"`
	LatencyMS          *latency `json:"latency_ms"` // null when the run placed nothing

	Import *imported `json:"import,omitempty"`

	straight, undone *journal.Flow // a flow of each kind, or nil
	dead             []journal.DeadLetter
}

// verdict is the result of the audit at the end.
type verdict struct {
	OK    bool     `json:"ok"`
	Wrong []string `json:"wrong"` // never nil
}

// latency is the time from the event that placed an order to the event that ended the order, in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// shownDead is the number of dead letters that a report shows.
const shownDead = 5

func newReport(ctx context.Context, c *troupe.Call[doors], did ran) (*report, error) {
	r := c.Deployable.Journal.Reader()
	v, err := audit(ctx, c, worldPath(r.Path()))
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if !v.Settled {
		v.OK, v.Wrong = false, append(v.Wrong, "journal: deliveries are still open, although no reaction was left")
	}
	rep := &report{
		Journal: r.Path(), Placed: did.placed, Seconds: did.took.Seconds(),
		Events: v.Stats.Events, Reactions: reactions(v.Stats),
		Retries: v.Stats.Retries, DeadLetters: v.Stats.DeadLetters[journal.LetterDead], Verify: verdict{v.OK, v.Wrong},
	}
	if b, ok := v.Books.(books.Report); ok {
		rep.Orders = b.Orders
		rep.EndStates = map[string]int{"completed": b.Completed, "cancelled": b.Cancelled, "returned": b.Returned, "open": b.Open}
	}
	s, err := readSurvey(ctx, r, did.head)
	if err != nil {
		return nil, err
	}
	took := s.took()
	rep.LatencyMS = latencyOf(took)
	rep.FlowsPerSecond = float64(len(took)) / rep.Seconds
	rep.ReactionsPerSecond = float64(rep.Reactions-did.before) / rep.Seconds
	if did.placed == 0 { // show flows of earlier runs
		if s, err = readSurvey(ctx, r, 0); err != nil {
			return nil, err
		}
	}
	if rep.straight, err = flowOf(ctx, r, s.first(course.straight)); err != nil {
		return nil, err
	}
	if rep.undone, err = flowOf(ctx, r, cmp.Or(s.first(course.compensated), s.first(course.cancelled))); err != nil {
		return nil, err
	}
	rep.dead, err = r.DeadLetters(ctx, sqlite.DeadLetterFilter{Status: journal.LetterDead, Limit: shownDead})
	return rep, err
}

// reactions returns the number of deliveries that are done.
func reactions(s sqlite.Stats) int64 { return s.Deliveries[journal.Done] }

// flowOf returns the flow of an order, or nil without an order. The flow's name is the order's id.
func flowOf(ctx context.Context, r *sqlite.Reader, orderID string) (*journal.Flow, error) {
	if orderID == "" {
		return nil, nil
	}
	flows, err := r.Flow(ctx, orderID)
	if err != nil || len(flows) == 0 {
		return nil, err
	}
	return flows[0], nil
}
