package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/bustest/imports"
	//new:several
	"github.com/troupebus/troupe/bus/journal"
	//new:end
	"github.com/troupebus/troupe/internal/scaffold/template/signup"
	"github.com/troupebus/troupe/internal/scaffold/template/signup/signupevents"
	//new:each welcome
	"github.com/troupebus/troupe/internal/scaffold/template/welcome"
	"github.com/troupebus/troupe/internal/scaffold/template/welcome/welcomeevents"
	//new:end
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

type app = bustest.App[doors]

// system returns the program for tests: the real modules on a real journal, and providers with a memory.
func system() bustest.System[doors] {
	return bustest.System[doors]{
		Open: sqlitetest.Open,
		Wire: func(b *bus.Bus, w *bustest.World) doors {
			return wire(b, outside{
				//new:each welcome
				welcome: welcomeProvider{w.Service("welcome")},
				//new:end
			})
		},
		Verify: func(ctx context.Context, tables func(module string) bus.SQL, w *bustest.World) ([]string, error) {
			wrong, err := verify(ctx, tables)
			if err != nil {
				return nil, err
			}
			entries, err := signup.All(ctx, tables("signup"))
			for _, module := range []string{
				//new:each welcome
				"welcome",
				//new:end
			} {
				answers := 0
				for _, entry := range entries {
					if entry.Answers[module] != "" {
						answers++
					}
				}
				if sent := len(w.Service(module).Done("send")); sent != answers {
					wrong = append(wrong, fmt.Sprintf("the provider of %s has sent %d messages, and signup has noted %d answers",
						module, sent, answers))
				}
			}
			return wrong, err
		},
		Join: func(at func(module string) doors) doors { return at("signup") },
	}
}

//new:each welcome

type welcomeProvider struct{ s *bustest.Service }

// Send implements welcome.Provider: messages to "nobody" are refused.
func (p welcomeProvider) Send(ctx context.Context, m welcome.Message) (string, error) {
	return bustest.Ask(ctx, p.s, bustest.Request{Op: "send", Key: m.Key, Body: m}, func() (string, error) {
		return welcome.Fake{Refuse: "nobody"}.Send(ctx, m)
	})
}

//new:end

func accept(a *app, id, to string) {
	a.Must("a client asks for "+id, func(ctx context.Context, d doors) error {
		_, err := d.signup.Accept(ctx, signup.Request{ID: id, Address: to})
		return err
	})
}

// The picture of the flow is testdata/a-request.mmd; `go test . -update` writes the file.
func TestARequestIsAnswered(t *testing.T) {
	bustest.Run(t, system(), func(a *app) {
		accept(a, "request-1", "ada@mail.test")
		a.Flow("request-1").
			AtLeast(signupevents.Accepted{ID: "request-1"}).
			//new:each welcome
			Causes(signupevents.Accepted{}, welcomeevents.Sent{}).
			Outcome("signup/note-welcome", journal.Done).
			//new:end
			Golden(t, "a-request")
	})
}

//new:several
func TestARefusedMessageIsADeadLetter(t *testing.T) {
	bustest.Run(t, system(), func(a *app) {
		a.Expect(
			//new:each welcome
			"welcome/send",
			//new:end
		)
		accept(a, "request-1", "nobody@mail.test")
		flow := a.Flow("request-1")
		//new:each welcome
		flow.Never(welcomeevents.Sent{}).Outcome("welcome/send", journal.Dead)
		//new:end
	})
}

//new:end

// Two requests in every order, with retries, crashes, repeated events and lost answers of the providers.
func TestWhateverHappens(t *testing.T) {
	bustest.Explore(t, system(), bustest.Exploration{}, func(a *app) {
		accept(a, "request-1", "ada@mail.test")
		accept(a, "request-2", "bob@mail.test")
	})
}

// The same with a process and a journal for each module, and a broker in between.
func TestWhateverHappensToDeployables(t *testing.T) {
	sys := system()
	sys.Deployables = [][]string{
		{"signup"},
		//new:each welcome
		{"welcome"},
		//new:end
	}
	bustest.Explore(t, sys, bustest.Exploration{Schedules: 50}, func(a *app) {
		accept(a, "request-1", "ada@mail.test")
	})
}

// TestBorders fails when a module imports more of another module than its contract.
func TestBorders(t *testing.T) {
	imports.Check(t, ".",
		"signup",
		//new:each welcome
		"welcome",
		//new:end
	)
}

// The types and fields of events and the names of handlers are in journals and on the wire. A change shows here first.
func TestContract(t *testing.T) {
	b := bus.New(nil, bus.Config{})
	wire(b, outside{})
	bustest.Contract(t, b, "testdata/contract.json")
}
