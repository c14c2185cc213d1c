package parity

import (
	"context"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// left has the results of a run.
type left struct {
	tables string
	flows  map[string]string // causes and effects, by the flow's id
}

// parity runs a story in one process on SQLite, and then in every other shape, and expects the same results.
func parity[S any](t *testing.T, sys bustest.System[S], modules []string, story func(app *bustest.App[S])) {
	sys.Config = timing
	want := leave(t, sys, modules, story)
	if len(want.flows) == 0 || want.tables == "" {
		t.Fatal("the story leaves nothing")
	}
	for _, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			if sh.realTime {
				t.Parallel()
			}
			sys := sys
			sys.Deployables, sys.Transport, sys.RealTime = sh.deployables(modules), sh.backend(t), sh.realTime
			got := leave(t, sys, modules, story)
			if got.tables != want.tables {
				t.Errorf("the tables have\n%s, want\n%s", got.tables, want.tables)
			}
			for id, flow := range want.flows {
				if got.flows[id] != flow {
					t.Errorf("flow %s is\n%s, want\n%s", id, got.flows[id], flow)
				}
			}
			if len(got.flows) != len(want.flows) {
				t.Errorf("%d flows, want %d", len(got.flows), len(want.flows))
			}
		})
	}
}

// leave runs a story to its end with the system's own checks, and returns the results.
func leave[S any](t *testing.T, sys bustest.System[S], modules []string, story func(app *bustest.App[S])) left {
	l := left{flows: map[string]string{}}
	verify := sys.Verify
	sys.Verify = func(ctx context.Context, of func(string) bus.SQL, w *bustest.World) (wrong []string, err error) {
		if verify != nil {
			if wrong, err = verify(ctx, of, w); err != nil {
				return nil, err
			}
		}
		l.tables, err = tables(ctx, of, modules)
		return wrong, err
	}
	bustest.Run(t, sys, func(app *bustest.App[S]) {
		story(app)
		app.Quiet()
		flows, err := app.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			l.flows[f.ID] = bustest.FlowOf(t, f).Sequence()
		}
	})
	return l
}
