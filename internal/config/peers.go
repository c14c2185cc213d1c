package config

import (
	"maps"
	"slices"

	"github.com/troupebus/troupe/internal/config/endpoint"
)

// peers warns of addresses that lead clients to no deployable, or to a deployable that does not run the module.
func (r *Report) peers(known []string) {
	for _, d := range r.Deployables {
		for _, m := range slices.Sorted(maps.Keys(d.peers)) {
			if !slices.Contains(known, m) { // reported already
				continue
			}
			at := slices.IndexFunc(r.Deployables, func(d Deployable) bool { return slices.Contains(d.Modules, m) })
			switch {
			case slices.Contains(d.Modules, m):
				r.warn(d.peersAt, "peers of %s has %s, which runs there itself: leave it out", d.Name, m)
			case at < 0:
				r.warn(d.peersAt, "peers of %s has %s, which runs nowhere: leave it out, or have it run", d.Name, m)
			case endpoint.Astray(d.peers[m], r.Deployables[at].HTTP):
				there := r.Deployables[at]
				r.warn(d.peersAt, "peers of %s has %s at %s, but %s, which runs it, listens on %s", d.Name, m, d.peers[m], there, there.HTTP)
			}
		}
	}
}
