package journal

import (
	"encoding/json"
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
	Name     string   `json:"name"`     // "module/handler"
	Consumes Types    `json:"consumes"` // sorted
	Emits    []string `json:"emits,omitempty"`
	FromNow  bool     `json:"from_now,omitempty"`
	Was      []string `json:"was,omitempty"`     // earlier names, the newest first
	Version  int      `json:"version,omitempty"` // of the run from the start; 0 for none
	AnyOrder bool     `json:"any_order,omitempty"`
}

// Types are event types. In JSON, a single type is a string, as before there were several.
type Types []string

// MarshalJSON encodes a string or a list.
func (t Types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// UnmarshalJSON decodes a string or a list.
func (t *Types) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = Types{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
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

// Torn is a subscription whose events of one key come in no order, because their modules run in different processes.
type Torn struct {
	Subscription string
	Emitters     []string // modules, sorted
}

// Torn returns the subscriptions that lose the order of their events when modules run apart. together reports whether
// two modules run in one process. Subscriptions with AnyOrder are left out.
func (p *Program) Torn(together func(a, b string) bool) (torn []Torn) {
	for _, s := range p.Subscriptions {
		var emitters []string
		apart := false
		for _, e := range p.Events {
			if e.Emitter != "" && slices.Contains(s.Consumes, e.Type) {
				emitters = append(emitters, e.Emitter)
				apart = apart || !together(e.Emitter, ModuleOf(s.Name))
			}
		}
		slices.Sort(emitters)
		emitters = slices.Compact(emitters)
		if apart && len(emitters) > 1 && !s.AnyOrder {
			torn = append(torn, Torn{s.Name, emitters})
		}
	}
	return torn
}
