package handlers

import (
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus"
)

// Reactions are reactions of a module by the name of the handler. Each function puts its reaction on the module under
// that name. Tests swap some of them for others.
type Reactions map[string]func(m *bus.Module, name string)

// on puts the reactions on m in the order of their names. Those of swap replace reactions of the same name.
func (r Reactions) on(m *bus.Module, swap []Reactions) {
	all := maps.Clone(r)
	for _, s := range swap {
		maps.Copy(all, s)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		all[name](m, name)
	}
}
