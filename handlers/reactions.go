package handlers

import (
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus"
)

// Reactions are the reactions of a module by the name of the handler. Each function adds its reaction to the module
// under the given name. Tests replace some of them.
type Reactions map[string]func(m *bus.Module, name string)

// on adds the reactions to m, sorted by name. A reaction in swap replaces the reaction of the same name.
func (r Reactions) on(m *bus.Module, swap []Reactions) {
	all := maps.Clone(r)
	for _, s := range swap {
		maps.Copy(all, s)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		all[name](m, name)
	}
}
