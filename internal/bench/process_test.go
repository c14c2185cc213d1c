package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/bench/work"
)

// TestMain makes this binary a worker if Process starts it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bench-worker" {
		os.Exit(worker(os.Args[2]))
	}
	os.Exit(m.Run())
}

func worker(how string) int {
	switch how {
	case "silent":
		return 0
	case "talkative":
		_, _ = os.Stdout.WriteString("about 10,000 flows/s")
		return 0
	case "crashing": // after the answer
		_, _ = os.Stdout.WriteString(`{"flows_per_second": 10000}`)
		_, _ = os.Stderr.WriteString("the disk is gone\n")
		return 3
	}
	if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	return 0
}

func TestProcess(t *testing.T) {
	t.Parallel()
	job := work.Job{Worker: "sqlite", Flows: 5, Group: 64, Journal: filepath.Join(t.TempDir(), "troupe.db")}
	f, err := Process("bench-worker", "real")(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(work.FlowsPerSecond); err != nil {
		t.Error(err)
	}
	for how, want := range map[string]string{"silent": "answered", "talkative": "about 10,000", "crashing": "the disk is gone"} {
		if f, err := Process("bench-worker", how)(t.Context(), job); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s worker: %v, %v", how, f, err)
		}
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if f, err := Process("bench-worker", "real")(ctx, job); !errors.Is(err, late) {
		t.Errorf("after its context has ended: %v, %v", f, err)
	}
	if _, err := Process("bench-worker", "real")(t.Context(), work.Job{Worker: "nobody"}); err == nil || !strings.Contains(err.Error(), `unknown worker "nobody"`) {
		t.Errorf("unknown worker: %v", err)
	}
}
