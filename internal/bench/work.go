package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"time"
)

// Job is what one worker is to measure. Its zero fields are left out, or unlimited.
type Job struct {
	Worker   string        `json:"worker"`
	Journal  string        `json:"journal,omitempty"`   // the path of its file, which may exist
	Flows    int64         `json:"flows,omitempty"`     // in the time measured; a tenth of them come before it
	InFlight int           `json:"in_flight,omitempty"` // flows under way at most
	Group    int           `json:"group,omitempty"`     // reactions that bare SQLite commits together
	Pause    time.Duration `json:"pause_ns,omitempty"`  // between single flows, or how long to do nothing
}

// Figures are what a worker measured, by name.
type Figures map[string]float64

// The names of figures.
const (
	flowsPerSecond = "flows_per_second"
	p50            = "p50_ms"
	p99            = "p99_ms"
	busy           = "busy_percent" // of one core
	opened         = "open_seconds"
	resident       = "resident_mb"
	peak           = "resident_peak_mb"
)

// get returns a figure that must be there, and must be a number that can have been measured.
func (f Figures) get(name string) (float64, error) {
	v, ok := f[name]
	if !ok || v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("it measured no %s (%v)", name, v)
	}
	return v, nil
}

var workers = map[string]func(context.Context, Job) (Figures, error){
	"troupe":    workTroupe,
	"gochannel": workGoChannel,
	"sqlite":    workBare,
	"latency":   workLatency,
	"idle":      workIdle,
	"open":      workOpen,
	"grow":      workGrow,
}

// Work does j in this process, and checks afterwards that nothing of it was lost. It leaves its journal behind.
func Work(ctx context.Context, j Job) (Figures, error) {
	work := workers[j.Worker]
	if work == nil {
		return nil, fmt.Errorf("bench: unknown worker %q: there are %q", j.Worker, slices.Sorted(maps.Keys(workers)))
	}
	f, err := work(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("bench: worker %s: %w", j.Worker, err)
	}
	return f, nil
}

// warmUp is what runs before the time is taken.
func (j Job) warmUp() load { return load{first: 0, n: max(1, j.Flows/10)} }

func (j Job) measured() load { return load{first: j.warmUp().n, n: j.Flows} }

func (j Job) all() int64 { return j.warmUp().n + j.Flows }

// timed runs the flows of j, warm-up first, and returns the rate.
func (j Job) timed(ctx context.Context, flows func(context.Context, load) (time.Duration, error)) (Figures, error) {
	if _, err := flows(ctx, j.warmUp()); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	took, err := flows(ctx, j.measured())
	if err != nil {
		return nil, err
	}
	return Figures{flowsPerSecond: float64(j.Flows) / took.Seconds()}, nil
}

func workTroupe(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, j.InFlight)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	before, err := end(ctx, j.Journal)
	if err != nil {
		return nil, err
	}
	if f, err = j.timed(ctx, p.flows); err != nil {
		return nil, err
	}
	if f[resident], f[peak], err = residentMB(); err != nil {
		return nil, err
	}
	return f, before.expect(ctx, j.Journal, j.all())
}

func workGoChannel(ctx context.Context, j Job) (f Figures, err error) {
	m, err := startInMemory(ctx, j.InFlight)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if f, err = j.timed(ctx, m.flows); err != nil {
		return nil, err
	}
	if got := m.ran.Load(); got != j.all() {
		return nil, fmt.Errorf("%d flows ended, want %d", got, j.all())
	}
	return f, nil
}

func workBare(ctx context.Context, j Job) (Figures, error) {
	p, err := start(ctx, j.Journal, 0) // it makes the tables
	if err == nil {
		err = p.close()
	}
	if err != nil {
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	b, err := openBare(j.Journal, j.Group)
	if err != nil {
		return nil, err
	}
	f, err := j.timed(ctx, b.flows)
	if err = errors.Join(err, b.close()); err != nil {
		return nil, err
	}
	return f, new(position).expect(ctx, j.Journal, j.all())
}

func workLatency(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var took []time.Duration
	for i := range j.all() {
		if err := pause(ctx, j.Pause); err != nil {
			return nil, err
		}
		d, err := p.one(ctx, i)
		if err != nil {
			return nil, err
		}
		if i >= j.warmUp().n {
			took = append(took, d)
		}
	}
	f = Figures{p50: milliseconds(percentile(took, 50)), p99: milliseconds(percentile(took, 99))}
	return f, new(position).expect(ctx, j.Journal, j.all())
}

func workIdle(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := p.flows(ctx, load{n: max(1, j.Flows)}); err != nil { // an idle process has done something before
		return nil, err
	}
	before, err := processorTime()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := pause(ctx, j.Pause); err != nil {
		return nil, err
	}
	after, err := processorTime()
	if err != nil {
		return nil, err
	}
	return Figures{busy: 100 * (after - before).Seconds() / time.Since(started).Seconds()}, nil
}

func workOpen(ctx context.Context, j Job) (f Figures, err error) {
	started := time.Now()
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := p.one(ctx, 0); err != nil {
		return nil, err
	}
	return Figures{opened: time.Since(started).Seconds()}, nil
}

// workGrow fills a journal through the bus.
func workGrow(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	took, err := p.flows(ctx, load{n: j.Flows})
	if err != nil {
		return nil, err
	}
	if err := new(position).expect(ctx, j.Journal, j.Flows); err != nil {
		return nil, err
	}
	wrong, err := p.journal.Reader().Check(ctx)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("the journal is not sound: %s", wrong[0])
	}
	return Figures{flowsPerSecond: float64(j.Flows) / took.Seconds()}, err
}

// pause waits for d, or with an error for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// position is how far a journal is: behind it is what is yet to be written.
type position struct{ seq, row int64 }

// view reads a journal's file beside whoever writes it.
func view(path string, read func(*sql.DB) error) error {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?_query_only=1&_busy_timeout=5000")
	if err != nil {
		return err
	}
	return errors.Join(read(db), db.Close())
}

func end(ctx context.Context, path string) (p position, err error) {
	err = view(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(id), 0) FROM bench_rows)").Scan(&p.seq, &p.row)
	})
	return p, err
}

const behind = `
SELECT (SELECT count(*) FROM events WHERE seq > ?1),
       (SELECT count(*) FROM deliveries WHERE seq > ?1 AND outcome = 'done'),
       (SELECT count(*) FROM bench_rows WHERE id > ?2)`

// expect is an error unless exactly the rows of so many flows lie behind p.
func (p *position) expect(ctx context.Context, path string, flows int64) error {
	var events, deliveries, rows int64
	err := view(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, behind, p.seq, p.row).Scan(&events, &deliveries, &rows)
	})
	if err != nil {
		return err
	}
	if events != flows*(reactions+1) || deliveries != flows*reactions || rows != flows*reactions {
		return fmt.Errorf("%d flows left %d events, %d deliveries that are done and %d rows", flows, events, deliveries, rows)
	}
	return nil
}
