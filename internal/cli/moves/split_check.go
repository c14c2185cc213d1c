package moves

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// crossing is a type of event that goes from one deployable to another.
type crossing struct {
	Type    string   `json:"type"`
	Version int      `json:"version"` // of its shape
	From    string   `json:"from"`
	To      []string `json:"to"` // modules, sorted
}

// CrossingsOf returns the types that leave the process of the emitter when modules run in a separate process. Without
// modules, every module runs in a separate process.
func CrossingsOf(p *journal.Program, modules []string) []crossing {
	var all []crossing
	for _, e := range p.Events {
		c := crossing{Type: e.Type, Version: e.Version, From: e.Emitter}
		for _, s := range p.Subscriptions {
			to := journal.ModuleOf(s.Name)
			crosses := slices.Contains(modules, e.Emitter) != slices.Contains(modules, to)
			if len(modules) == 0 {
				crosses = e.Emitter != to
			}
			if slices.Contains(s.Consumes, e.Type) && crosses && !slices.Contains(c.To, to) {
				c.To = append(c.To, to)
			}
		}
		if slices.Sort(c.To); len(c.To) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// finding is a problem when modules run in separate processes.
type finding struct {
	Error    bool     `json:"error"` // must be corrected before the split
	What     string   `json:"what"`
	Where    string   `json:"where"`
	Why      string   `json:"why"`
	Do       string   `json:"do"`
	Count    int64    `json:"count,omitempty"` // of events in the journal
	Examples []string `json:"examples,omitempty"`
}

// sameAdvice reports whether f and g differ only in the place and the events.
func (f finding) sameAdvice(g finding) bool {
	return f.What == g.What && f.Why == g.Why && f.Do == g.Do
}

// splitReport is the report of split --check.
type splitReport struct {
	OK        bool       `json:"ok"` // no finding is an error
	Modules   []string   `json:"modules"`
	Journal   string     `json:"journal"` // "" without a file
	Program   string     `json:"program"` // the program that has the modules
	Crossings []crossing `json:"crossings"`
	Findings  []finding  `json:"findings"`
}

// checkSplit reports whether modules are ready to run in a separate process. named reports that --journal was given:
// only then a missing journal is an error.
func checkSplit(ctx context.Context, o *console.Options, c splitConfig, named bool) error {
	r := splitReport{Findings: []finding{}}
	err := o.ReadJournal(ctx, c.Journal, func(j *sqlite.Reader) error {
		owner, err := o.OwnerOf(ctx, j)
		if err != nil {
			return err
		}
		p := o.Program.Declares()
		if owner.Foreign {
			p = owner.Declares
		}
		if p == nil {
			return fmt.Errorf("%s belongs to another program, and does not have the declarations of its modules: run that program on the journal once, or use split --check of that program", j.Path())
		}
		r.Journal, r.Program = j.Path(), p.Name
		if err := r.about(p, c.Modules); err != nil {
			return err
		}
		return errors.Join(r.checkSchema(ctx, j.Path(), len(c.Modules) == 0), r.checkEvents(ctx, j, c.maxPayload))
	})
	if errors.Is(err, fs.ErrNotExist) {
		if wrong := r.about(o.Program.Declares(), c.Modules); wrong != nil || !named {
			err = wrong
		}
	}
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.Findings, func(a, b finding) int {
		return cmp.Or(-cmp.Compare(fmt.Sprint(a.Error), fmt.Sprint(b.Error)),
			cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	r.OK = !slices.ContainsFunc(r.Findings, func(f finding) bool { return f.Error })
	if err := r.print(o); err != nil {
		return err
	}
	if !r.OK {
		return &console.ExitError{Code: console.ExitWrong}
	}
	return nil
}

// about sets the modules of p that the report is about; without modules, all of them.
func (r *splitReport) about(p *journal.Program, modules []string) error {
	known := p.Modules()
	for _, m := range modules {
		if !slices.Contains(known, m) {
			return console.UsageErrorf("there is no module %q: there are %s", m, strings.Join(known, ", "))
		}
	}
	if r.Modules = modules; len(modules) == 0 {
		r.Modules = known
	}
	r.Crossings = CrossingsOf(p, modules)
	for _, t := range p.Torn(func(a, b string) bool {
		return a == b || len(modules) > 0 && slices.Contains(modules, a) == slices.Contains(modules, b)
	}) {
		from := strings.Join(t.Emitters, ", ")
		r.add(finding{Error: true, What: "the order of two modules lost on the wire", Where: t.Subscription + ", of events from " + from,
			Why: "each module has a topic of its own, and two topics have no order between them",
			Do:  "mark the handler with AnyOrder if the order does not matter, or keep these modules in one process"})
	}
	return nil
}

func (r *splitReport) add(f finding) { r.Findings = append(r.Findings, f) }

// checkSchema reports references between the tables of different modules.
func (r *splitReport) checkSchema(ctx context.Context, path string, each bool) error {
	groups := [][]string{r.Modules}
	if each {
		groups = nil
		for _, m := range r.Modules {
			groups = append(groups, []string{m})
		}
	}
	seen := map[move.Trespass]bool{}
	for _, modules := range groups {
		found, err := move.Trespasses(ctx, path, modules)
		if err != nil {
			return err
		}
		for _, t := range found {
			if seen[t] {
				continue
			}
			seen[t] = true
			what, do, _ := strings.Cut(t.What, ": ")
			r.add(finding{Error: true, What: "tables of two modules tied together", Where: t.Where + " " + what, Why: "tables in two files cannot refer to each other", Do: do})
		}
	}
	return nil
}

const (
	keyless = `SELECT count(*), coalesce((SELECT json_group_array(id) FROM (SELECT id FROM events WHERE type = ?1 AND key = '' ORDER BY seq DESC LIMIT 3)), '[]')
FROM events WHERE type = ?1 AND key = ''`

	tooLarge = `SELECT count(*), coalesce((SELECT json_group_array(id || ': ' || size || ' bytes') FROM (
	SELECT id, length(data) AS size FROM events WHERE type = ?1 AND length(data) > ?2 ORDER BY size DESC LIMIT 3)), '[]')
FROM events WHERE type = ?1 AND length(data) > ?2`

	astray = `SELECT count(*), coalesce((SELECT json_group_array(id || ' of ' || quote(source)) FROM (
	SELECT id, source FROM events WHERE type = ?1 AND source <> ?2 ORDER BY seq DESC LIMIT 3)), '[]')
FROM events WHERE type = ?1 AND source <> ?2`

	astrayLater = `SELECT count(*), coalesce((SELECT json_group_array(event_id || ' of ' || quote(source)) FROM (
	SELECT event_id, source FROM delayed WHERE type = ?1 AND source <> ?2 ORDER BY due_at LIMIT 3)), '[]')
FROM delayed WHERE type = ?1 AND source <> ?2`
)

// checkEvents reports problems with events in the journal whose types cross.
func (r *splitReport) checkEvents(ctx context.Context, j *sqlite.Reader, maxPayload int) error {
	return j.View(ctx, func(tx *sql.Tx) error {
		for _, c := range r.Crossings {
			where := fmt.Sprintf("%s, from %s to %s", c.Type, c.From, strings.Join(c.To, ", "))
			notSent := fmt.Sprintf("an event goes to the topic of the module that emitted it, and %s is read from the topic of %s only", c.Type, c.From)
			for _, f := range []struct {
				query string
				args  []any
				finding
			}{
				{keyless, []any{c.Type}, finding{What: "events without a key", Why: "on a topic, only events of the same key stay in order",
					Do: "return a key from EventKey, or make sure that the order does not matter"}},
				{tooLarge, []any{c.Type, maxPayload}, finding{Error: true, What: "payloads too large for a topic",
					Why: fmt.Sprintf("an event of more than %d bytes is not sent: it becomes a dead letter of bus/relay, and loses its order within its key", maxPayload),
					Do:  "store the large part elsewhere and refer to it, or raise the limit of the topic and --max-payload"}},
				{astray, []any{c.Type, c.From}, finding{What: "events on the wrong topic", Why: notSent,
					Do: "make sure that only " + c.From + " emits the type from now on; events in the journal move with the split"}},
				{astrayLater, []any{c.Type, c.From}, finding{Error: true, What: "delayed events on the wrong topic", Why: notSent,
					Do: "wait until the events are due, and split then"}},
			} {
				var examples string
				if err := tx.QueryRowContext(ctx, f.query, f.args...).Scan(&f.Count, &examples); err != nil {
					return fmt.Errorf("read the events: %w", err)
				}
				if f.Count == 0 {
					continue
				}
				f.Where = where
				if err := json.Unmarshal([]byte(examples), &f.Examples); err != nil {
					return err
				}
				r.add(f.finding)
			}
		}
		return nil
	})
}

func (r *splitReport) print(o *console.Options) error {
	if o.Json {
		return o.PrintJSON(r)
	}
	p := &console.Printer{O: o}
	of := ""
	if r.Program != "" && r.Program != o.Program.Name {
		of = ", of " + console.Printable(r.Program) + " as last run here"
	}
	p.Line("to run apart   %s%s", console.Printable(strings.Join(r.Modules, ", ")), of)
	for _, c := range r.Crossings {
		p.Line("on the wire    %s, version %d, from %s to %s", console.Printable(c.Type), c.Version, console.Printable(c.From), console.Printable(strings.Join(c.To, ", ")))
	}
	if r.Journal == "" {
		p.Line("journal        none: events and tables were not looked at")
	}
	p.Line("")
	errs := 0
	for i, f := range r.Findings {
		label := p.Paint(term.Yellow, "warning")
		if f.Error {
			errs++
			label = p.Paint(term.Red, "error  ")
		}
		found := ""
		if f.Count > 0 {
			found = fmt.Sprintf(", %s in the journal, such as %s", thousands(f.Count), console.Printable(strings.Join(f.Examples, ", ")))
		}
		p.Line("%s %s: %s%s", label, f.What, console.Printable(f.Where), found)
		if i+1 < len(r.Findings) && f.sameAdvice(r.Findings[i+1]) {
			continue // the advice is printed once, after the last of them
		}
		p.Line("        why: %s", f.Why)
		p.Line("        do:  %s\n", f.Do)
	}
	p.Line("Not checked: the Go code of handlers. Tests with package bustest fail when a module uses the tables of another module.")
	p.Line("Deployables are updated one by one: old readers get events of a new shape, which need a higher EventVersion.")
	switch {
	case !r.OK:
		p.Line("%s", p.Paint(term.Red, "not ready: "+console.Count(errs, "error")+" to correct first"))
	case len(r.Findings) > 0:
		p.Line("%s", p.Paint(term.Green, "ready: "+console.Count(len(r.Findings), "warning")))
	default:
		p.Line("%s", p.Paint(term.Green, "ready: nothing stands in the way"))
	}
	return p.Err
}
