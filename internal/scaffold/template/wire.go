package main

import (
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/scaffold/template/signup"
	//new:each welcome
	"github.com/troupebus/troupe/internal/scaffold/template/welcome"
	//new:end
)

// doors are the entrances of the modules, for routes and commands.
type doors struct{ signup signup.Desk }

// outside has the services outside of the program, for the modules to call.
type outside struct {
	//new:each welcome
	welcome welcome.Provider
	//new:end
}

// wire puts all modules on b. Tests call wire with other implementations of outside.
func wire(b *bus.Bus, o outside) doors {
	d := doors{signup.Wire(b)}
	//new:each welcome
	welcome.Wire(b, o.welcome)
	//new:end
	return d
}
