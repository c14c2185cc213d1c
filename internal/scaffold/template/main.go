// Command example is a program of modules that react to each other's events.
package main

import (
	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
	//new:each welcome
	"github.com/troupebus/troupe/internal/scaffold/template/welcome"
	//new:end
)

// settings are the own settings of this program, beside the settings of every program.
type settings struct {
	//new:several
	Refuse string `setting:"fake.refuse" help:"text of addresses that the fake providers refuse (default: none)"`
	//new:end
}

func main() { troupe.Main(program()) }

// program returns the settings, modules, routes, rules and commands of the program.
func program() troupe.App[doors] {
	var s settings
	return troupe.App[doors]{
		Name: "example", Short: "A program of modules that react to each other's events",
		Settings: &s,
		Wire: func(b *bus.Bus) doors {
			//new:alone return wire(b, outside{})
			//new:several
			return wire(b, outside{ // fakes: put clients of the real providers here
				//new:each welcome
				welcome: welcome.Fake{Refuse: s.Refuse},
				//new:end
			})
			//new:end
		},
		HTTP:     routes,
		Verify:   verify,
		Commands: []troupe.Command[doors]{demo()},
	}
}
