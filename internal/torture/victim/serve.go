package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// serve runs the modules on a journal until ctx ends.
func serve(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	path := flags.String("journal", "", "journal file")
	sync := flags.String("sync", "full", "Synchronous")
	outside := flags.String("outside", "", "file that records external calls")
	good := flags.Bool("good", false, "let all handlers behave")
	older := flags.Bool("older", false, "leave out the subscription tail/close, as an older program would")
	var w wiring
	w.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := &program{good: *good, older: *older}
	if p.outside, err = os.OpenFile(*outside, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	j, err := sqlite.Open(ctx, *path, sqlite.Config{Synchronous: *sync, BusyTimeout: time.Second, Logger: logger})
	if err != nil {
		return err
	}
	transport, err := w.open(j, logger)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	shut := func() error {
		if transport == nil {
			return j.Close()
		}
		return errors.Join(transport.Close(), j.Close())
	}
	p.Bus = bus.New(j, bus.Config{
		Logger: logger, ShutdownTimeout: 3 * time.Second, ExternalTimeout: time.Minute,
		Modules: w.chosen(), Transport: transport,
	})
	p.wire()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-p.Running():
	case err := <-ended:
		return errors.Join(err, shut())
	}
	s := &server{program: p, j: j, out: json.NewEncoder(os.Stdout)}
	s.answer(talk.Answer{Kind: talk.Up})
	go s.listen()
	err = <-ended
	return errors.Join(err, shut())
}

// server answers requests.
type server struct {
	*program
	j *sqlite.Journal

	mu  sync.Mutex
	out *json.Encoder // guarded by mu
}

func (s *server) answer(a talk.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(a) // without a reader, the torture test is gone
}

func (s *server) listen() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r talk.Request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			s.answer(talk.Answer{Err: err.Error()})
			continue
		}
		if r.Do == talk.Heal { // the last one counts
			s.handle(r)
			continue
		}
		go s.handle(r)
	}
}

func (s *server) handle(r talk.Request) {
	switch r.Do {
	case talk.Publish:
		s.publish(r)
	case talk.Work:
		s.work(r)
	case talk.Heal:
		s.healed.Store(r.Mood == "")
		s.answer(talk.Answer{ID: r.ID, Kind: talk.Done})
	case talk.Backlog:
		b := s.j.Backlog()
		s.answer(talk.Answer{ID: r.ID, Kind: talk.Done, Quiet: b.Quiet(), Text: fmt.Sprintf("%+v", b)})
	}
}

func (s *server) publish(r talk.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), talk.Patience)
	defer cancel()
	_, err := s.front.Publish(ctx, events(r)...)
	s.answer(verdict(r, err))
}

func events(r talk.Request) []bus.Event {
	var out []bus.Event
	for i := range max(r.Count, 1) {
		var e bus.Event = Asked{Key: talk.KeyOf(r.Key, r.N+i), N: r.N + i, Mood: r.Mood, Tags: []int{r.N + i}, Pad: strings.Repeat("x", r.Size)}
		if r.After > 0 {
			e = bus.After(time.Duration(r.After)*time.Millisecond, e)
		}
		out = append(out, e)
	}
	return out
}

// work runs a unit of work: rows and events, or a mistake.
func (s *server) work(r talk.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), talk.Patience)
	defer cancel()
	_, err := s.front.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		tx := bus.Tx(ctx)
		for i := range max(r.Count, 1) {
			if err := exec(tx, fmt.Sprintf("INSERT INTO front_rows (sub, event, key, n) VALUES ('work', '', '%s', %d)", talk.KeyOf(r.Key, r.N+i), r.N+i)); err != nil {
				return nil, err
			}
		}
		if _, err := s.misbehave(ctx, Asked{Key: r.Key, Mood: r.Mood}); err != nil {
			return nil, err
		}
		r.Mood = ""
		return bus.Emit(events(r)...), nil
	})
	s.answer(verdict(r, err))
}

// verdict returns the answer for err. ErrUnknown means an unknown result; all other errors promise that the events
// are not in the log.
func verdict(r talk.Request, err error) talk.Answer {
	a := talk.Answer{ID: r.ID, Kind: talk.Done}
	if err != nil {
		a.Kind, a.Err, a.Store = talk.NotDone, err.Error(), errors.Is(err, journal.ErrUnavailable)
		if errors.Is(err, journal.ErrUnknown) {
			a.Kind = talk.Unknown
		}
	}
	return a
}
