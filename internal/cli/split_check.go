package cli

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

// crossingsOf are the types that leave the process of their emitter when modules run in one of their own; with none named, when each
// module does.
func crossingsOf(p *journal.Program, modules []string) []crossing {
	var all []crossing
	for _, e := range p.Events {
		c := crossing{Type: e.Type, Version: e.Version, From: e.Emitter}
		for _, s := range p.Subscriptions {
			to := moduleOf(s.Name)
			apart := slices.Contains(modules, e.Emitter) != slices.Contains(modules, to)
			if len(modules) == 0 {
				apart = e.Emitter != to
			}
			if s.Consumes == e.Type && apart && !slices.Contains(c.To, to) {
				c.To = append(c.To, to)
			}
		}
		if slices.Sort(c.To); len(c.To) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// finding is something that matters once modules are apart.
type finding struct {
	Error    bool     `json:"error"` // it has to be mended first
	What     string   `json:"what"`
	Where    string   `json:"where"`
	Why      string   `json:"why"`
	Do       string   `json:"do"`
	Count    int64    `json:"count,omitempty"` // of events in the journal
	Examples []string `json:"examples,omitempty"`
}

// splitReport is what split --check reports.
type splitReport struct {
	OK        bool       `json:"ok"` // nothing has to be mended first
	Modules   []string   `json:"modules"`
	Journal   string     `json:"journal"` // "" where there is none
	Program   string     `json:"program"` // whose modules they are
	Crossings []crossing `json:"crossings"`
	Findings  []finding  `json:"findings"`
}

// checkSplit reports whether modules are ready to run apart from the others. A journal that nobody has named need not be there.
func checkSplit(ctx context.Context, o *options, c splitConfig, named bool) error {
	r := splitReport{Findings: []finding{}}
	err := readJournal(ctx, c.Journal, func(j *sqlite.Reader) error {
		owner, err := o.ownerOf(ctx, j)
		if err != nil {
			return err
		}
		p := o.program.declares()
		if owner.foreign {
			p = owner.declares
		}
		if p == nil {
			return fmt.Errorf("%s is the journal of another program, which has not told it what its modules declare: run that program on it once, or use that program's own split --check", j.Path())
		}
		r.Journal, r.Program = j.Path(), p.Name
		if err := r.about(p, c.Modules); err != nil {
			return err
		}
		return errors.Join(r.checkSchema(ctx, j.Path(), len(c.Modules) == 0), r.checkEvents(ctx, j, c.maxPayload))
	})
	if errors.Is(err, fs.ErrNotExist) {
		if wrong := r.about(o.program.declares(), c.Modules); wrong != nil || !named {
			err = wrong
		}
	}
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.Findings, func(a, b finding) int {
		return cmp.Or(-cmp.Compare(fmt.Sprint(a.Error), fmt.Sprint(b.Error)), cmp.Compare(a.What, b.What), cmp.Compare(a.Where, b.Where))
	})
	r.OK = !slices.ContainsFunc(r.Findings, func(f finding) bool { return f.Error })
	if err := r.print(o); err != nil {
		return err
	}
	if !r.OK {
		return &exitError{code: exitWrong}
	}
	return nil
}

// about has the report be about modules of p, all of them where none is named.
func (r *splitReport) about(p *journal.Program, modules []string) error {
	known := p.Modules()
	for _, m := range modules {
		if !slices.Contains(known, m) {
			return usageErrorf("there is no module %q: there are %s", m, strings.Join(known, ", "))
		}
	}
	if r.Modules = modules; len(modules) == 0 {
		r.Modules = known
	}
	r.Crossings = crossingsOf(p, modules)
	return nil
}

func (r *splitReport) add(f finding) { r.Findings = append(r.Findings, f) }

// checkSchema looks for what ties the tables of modules together.
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
			r.add(finding{Error: true, What: "tables of two modules tied together", Where: t.Where + " " + what, Why: "they cannot go into two files", Do: do})
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

// checkEvents looks at the events in the journal of the types that cross.
func (r *splitReport) checkEvents(ctx context.Context, j *sqlite.Reader, maxPayload int) error {
	return j.View(ctx, func(tx *sql.Tx) error {
		for _, c := range r.Crossings {
			where := fmt.Sprintf("%s, from %s to %s", c.Type, c.From, strings.Join(c.To, ", "))
			notCarried := fmt.Sprintf("the topic is that of the module which emitted an event, and %s is read from that of %s", c.Type, c.From)
			for _, f := range []struct {
				query string
				args  []any
				finding
			}{
				{keyless, []any{c.Type}, finding{What: "events without a key", Why: "on a topic, only events of one key stay in order",
					Do: "give its EventKey something that the event is about, or make sure that their order does not matter"}},
				{tooLarge, []any{c.Type, maxPayload}, finding{Error: true, What: "payloads too large for a topic",
					Why: fmt.Sprintf("more than %d bytes are not carried, and hold up all that come after", maxPayload),
					Do:  "store the large part elsewhere and refer to it, or raise the topic's limit and --max-payload"}},
				{astray, []any{c.Type, c.From}, finding{What: "events that nobody would carry", Why: notCarried,
					Do: "make sure that only " + c.From + " emits it from now on; what is in the journal goes along with a split"}},
				{astrayLater, []any{c.Type, c.From}, finding{Error: true, What: "delayed events that nobody would carry", Why: notCarried,
					Do: "let them come due before the split"}},
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

func (r *splitReport) print(o *options) error {
	if o.json {
		return o.printJSON(r)
	}
	p := &printer{o: o}
	of := ""
	if r.Program != "" && r.Program != o.program.Name {
		of = ", of " + printable(r.Program) + " as it last ran here"
	}
	p.line("to run apart   %s%s", printable(strings.Join(r.Modules, ", ")), of)
	for _, c := range r.Crossings {
		p.line("on the wire    %s, version %d, from %s to %s", printable(c.Type), c.Version, printable(c.From), printable(strings.Join(c.To, ", ")))
	}
	if r.Journal == "" {
		p.line("journal        none: events and tables were not looked at")
	}
	p.line("")
	errs := 0
	for i, f := range r.Findings {
		label := p.paint(yellow, "warning")
		if f.Error {
			errs++
			label = p.paint(red, "error  ")
		}
		found := ""
		if f.Count > 0 {
			found = fmt.Sprintf(", %s in the journal, such as %s", thousands(f.Count), printable(strings.Join(f.Examples, ", ")))
		}
		p.line("%s %s: %s%s", label, f.What, printable(f.Where), found)
		if i+1 < len(r.Findings) && r.Findings[i+1].What == f.What && r.Findings[i+1].Why == f.Why && r.Findings[i+1].Do == f.Do {
			continue // it is said once
		}
		p.line("        why: %s", f.Why)
		p.line("        do:  %s\n", f.Do)
	}
	p.line("What handlers do in Go is not seen here: tests on package bustest fail when a module touches another's tables.")
	p.line("Deployables are updated one after the other: a new shape of an event meets old readers, and needs a higher EventVersion.")
	switch {
	case !r.OK:
		p.line("%s", p.paint(red, "not ready: "+count(errs, "error")+" to mend first"))
	case len(r.Findings) > 0:
		p.line("%s", p.paint(green, "ready: "+count(len(r.Findings), "warning")))
	default:
		p.line("%s", p.paint(green, "ready: nothing stands in the way"))
	}
	return p.err
}
