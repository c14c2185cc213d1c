package wiring

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/internal/keyorder"
	"github.com/troupebus/troupe/bus/internal/migrations"
	"github.com/troupebus/troupe/bus/internal/names"
	"github.com/troupebus/troupe/bus/internal/shape"
	"github.com/troupebus/troupe/bus/journal"
)

// Wiring is the declarations of a program.
type Wiring struct {
	Types         Types
	Modules       map[string]Module
	Subscriptions []Subscription // in the order of the declarations
	Schedules     []Schedule
	Chosen        []string         // Config.Modules
	Connected     bool             // the process has a transport
	Program       *journal.Program // the same declarations for the journal
}

// Module is a module of a program.
type Module struct {
	Here           bool            // the module runs in this process
	Emits, Outside map[string]bool // by Do and Publish; for consumers outside of the program
	Migrations     fs.FS           // nil for none
	Site           string          // file and line of the declaration
}

// Subscription is a handler of a program.
type Subscription struct {
	Name, Module       string
	Types, Patterns    []string
	Emits              map[string]bool
	External, AnyOrder bool
	Names              names.Names
	Site               string
}

// Schedule is a schedule of a program.
type Schedule struct {
	Name  string
	Emits map[string]bool
	Site  string
}

// At adds the line of the program to err.
func At(site string, err error) error {
	if site == "" {
		return err
	}
	return fmt.Errorf("%s: %w", site, err)
}

// Mistakes returns all mistakes, each with the line of the program when known.
func (w *Wiring) Mistakes() (errs []error) {
	taken, consumed := map[string]bool{}, map[string]bool{}
	for _, s := range w.Subscriptions {
		if taken[s.Name] {
			errs = append(errs, At(s.Site, fmt.Errorf("subscription %q is used twice: give each handler of a module a name of its own", s.Name)))
		}
		taken[s.Name] = true
		if len(s.Patterns) > 0 && len(s.Types) == 0 {
			errs = append(errs, At(s.Site, fmt.Errorf("subscription %q: no module emits an event type like %q", s.Name, s.Patterns)))
		}
		for _, t := range s.Types {
			consumed[t] = consumed[t] || len(s.Patterns) == 0
			if w.Types[t].Emitter == "" {
				errs = append(errs, At(s.Site, fmt.Errorf("subscription %q consumes %q, which no module declares to emit: add the event to Emits",
					s.Name, t)))
			}
		}
	}
	for _, s := range w.Schedules {
		if taken[s.Name] {
			errs = append(errs, At(s.Site, fmt.Errorf("schedule %q has the name of another schedule or subscription", s.Name)))
		}
		if taken[s.Name] = true; len(s.Emits) == 0 {
			errs = append(errs, At(s.Site, fmt.Errorf("schedule %q emits no event: add the event to Emits", s.Name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Types)) {
		t := w.Types[name]
		if t.Emitter != "" && !consumed[name] && !w.Modules[t.Emitter].Outside[name] {
			errs = append(errs, At(t.Site, fmt.Errorf("event type %q, emitted by module %s, has no consumer: if intended, mark the event with ForOutside",
				name, t.Emitter)))
		}
	}
	return slices.Concat(errs, w.checkMigrations(), w.checkPlaces(), w.checkNames(), w.checkOrder())
}

// checkMigrations returns the mistakes of single modules: ForOutside without Emits, and migrations in the wrong folder.
func (w *Wiring) checkMigrations() (errs []error) {
	for _, module := range slices.Sorted(maps.Keys(w.Modules)) {
		m := w.Modules[module]
		for _, name := range slices.Sorted(maps.Keys(m.Outside)) {
			if w.Types[name].Emitter != module {
				errs = append(errs, At(m.Site, fmt.Errorf("module %s marks %q with ForOutside, but does not emit the event: add the event to Emits",
					module, name)))
			}
		}
		if m.Migrations == nil {
			continue
		}
		if err := migrations.Check(m.Migrations); err != nil {
			errs = append(errs, At(m.Site, fmt.Errorf("migrations of module %s: %w", module, err)))
		}
	}
	return errs
}

// checkPlaces returns the mistakes in Config.Modules.
func (w *Wiring) checkPlaces() (errs []error) {
	all := slices.Sorted(maps.Keys(w.Modules))
	for _, name := range w.Chosen {
		if !slices.Contains(all, name) {
			errs = append(errs, fmt.Errorf("Config.Modules has module %q, which is not wired: wired are %s", name, strings.Join(all, ", ")))
		}
	}
	for _, name := range all {
		if !w.Modules[name].Here && !w.Connected {
			errs = append(errs, fmt.Errorf("module %q runs elsewhere, but Config.Transport is not set", name))
		}
	}
	return errs
}

// checkNames returns the mistakes in the names and beginnings of subscriptions.
func (w *Wiring) checkNames() (errs []error) {
	taken := map[string]string{}
	for _, s := range w.Subscriptions {
		taken[s.Name] = s.Name
	}
	for _, s := range w.Subscriptions {
		for _, err := range s.Names.Check(s.Name, s.External, taken) {
			errs = append(errs, At(s.Site, fmt.Errorf("subscription %q: %w", s.Name, err)))
		}
	}
	return errs
}

// checkOrder returns a mistake for each module that gets events of one key in no order.
func (w *Wiring) checkOrder() (errs []error) {
	order := keyorder.Wiring{Emitters: map[string]string{}, First: map[string]bool{}}
	for name, t := range w.Types {
		if shape.Keyed(t.Go) {
			order.Emitters[name] = t.Emitter
		}
	}
	sites := map[string]string{}
	for _, m := range w.Modules {
		maps.Copy(order.First, m.Emits)
	}
	for _, s := range w.Subscriptions {
		sites[s.Name] = s.Site
		order.Subscriptions = append(order.Subscriptions, keyorder.Subscription{
			Name: s.Name, Module: s.Module, Types: s.Types, Emits: slices.Collect(maps.Keys(s.Emits)), AnyOrder: s.AnyOrder,
		})
	}
	for _, g := range order.Unordered() {
		errs = append(errs, At(sites[g.Names[0]], fmt.Errorf("subscriptions %s get events of module %s with one key in no order: "+
			"if the order matters, handle the types in one OnEach, else mark handlers with AnyOrder", strings.Join(g.Names, ", "), g.Emitter)))
	}
	here := func(a, other string) bool { return w.Modules[a].Here && w.Modules[other].Here }
	for _, t := range w.Program.Torn(here) {
		if module := journal.ModuleOf(t.Subscription); w.Modules[module].Here {
			errs = append(errs, At(sites[t.Subscription], fmt.Errorf("subscription %q gets events with one key in no order, because modules %s run in different processes: "+
				"if the order does not matter, mark the handler with AnyOrder, else run these modules with module %s",
				t.Subscription, strings.Join(t.Emitters, ", "), module)))
		}
	}
	return errs
}
