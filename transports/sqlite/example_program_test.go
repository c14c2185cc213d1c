package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// booked is the event of a program called clinic.
type booked struct {
	Patient string `json:"patient"`
}

func (booked) EventType() string  { return "visits.booked" }
func (e booked) EventKey() string { return e.Patient }

// wireClinic wires the modules of clinic. It opens nothing, so that the declarations can be asked for before a run.
func wireClinic(b *bus.Bus) {
	b.Module("visits").Emits(booked{})
	bus.On(b.Module("bills"), "charge", func(context.Context, booked) (bus.Events, error) { return nil, nil })
}

// A program names itself when it opens its journal. Another program that opens that journal by mistake is refused.
func ExampleOpen_program() {
	dir, err := os.MkdirTemp("", "clinic")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "clinic.db")

	declared := bus.New(nil, bus.Config{})
	wireClinic(declared)
	program := declared.Wiring().Program("clinic", "1.2.0")
	j, err := sqlite.Open(context.Background(), path, sqlite.Config{Program: program})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}

	program.Name = "shop"
	_, err = sqlite.Open(context.Background(), path, sqlite.Config{Program: program})
	var other *sqlite.OtherProgramError
	fmt.Println(errors.As(err, &other), other)
	// Output: true it is a journal of clinic, and this is shop: run clinic on it, or name another journal
}
