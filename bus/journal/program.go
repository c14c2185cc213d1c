package journal

import (
	"slices"
)

// Program describes the program that a journal belongs to, with the declarations of all modules, also of modules that
// run elsewhere. A journal stores the last Program that opened it, so that tools can read the journal without the
// program's code.
type Program struct {
	Name          string                `json:"name"`
	Version       string                `json:"version"`
	Events        []ProgramEvent        `json:"events"`              // by type
	Subscriptions []ProgramSubscription `json:"subscriptions"`       // by name
	Schedules     []ProgramSchedule     `json:"schedules,omitempty"` // by name
}

// ProgramSchedule is a schedule of the program.
type ProgramSchedule struct {
	Name  string   `json:"name"` // "module/name"
	Spec  string   `json:"spec"` // a duration or a cron specification
	Emits []string `json:"emits"`
}

// ProgramEvent is an event type that a module of the program emits.
type ProgramEvent struct {
	Type    string `json:"type"`
	Version int    `json:"version"` // of the shape, from 1
	Emitter string `json:"emitter"` // the module
	Outside bool   `json:"outside,omitempty"`
}

// ProgramSubscription is a handler of the program.
type ProgramSubscription struct {
	Name     string   `json:"name"` // "module/handler"
	Consumes string   `json:"consumes"`
	Emits    []string `json:"emits,omitempty"`
	FromNow  bool     `json:"from_now,omitempty"`
	Was      []string `json:"was,omitempty"`     // earlier names, the newest first
	Version  int      `json:"version,omitempty"` // of the run from the start; 0 for none
}

// Modules returns the names of the modules that emit or consume events, sorted.
func (p *Program) Modules() []string {
	var names []string
	for _, e := range p.Events {
		if e.Emitter != "" {
			names = append(names, e.Emitter)
		}
	}
	for _, s := range p.Subscriptions {
		names = append(names, ModuleOf(s.Name))
	}
	for _, s := range p.Schedules {
		names = append(names, ModuleOf(s.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
