package main

import (
	"time"

	"github.com/troupebus/troupe/internal/config"
)

// settings are those that only the shop has: how its simulated gateway and carrier behave.
type settings struct {
	Seed    uint64        `setting:"seed" default:"1" value:"SEED" help:"which failures the simulated gateway and carrier come up with"`
	Latency time.Duration `setting:"latency" default:"40ms" help:"how long they take on average"`
}

// configProgram returns the program whose settings the commands read.
func configProgram() *config.Program {
	p, err := config.NewProgram(programName, moduleNames(), &settings{})
	if err != nil {
		panic(err) // the tags above are wrong
	}
	return p
}
