package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/network"
	"github.com/troupebus/troupe/internal/torture/owner"
	"github.com/troupebus/troupe/internal/torture/probe"
	"github.com/troupebus/troupe/internal/torture/story"
)

// shop runs a schedule on the shop's own binary: a single deployable, or two deployables and a broker. The books are
// the model: accepted orders must be in the books, and troupe verify must find no contradiction.
type shop struct {
	*run
	processes map[string]*process // by the names that steps use
	urls      map[string]string
	http      http.Client
	orders    map[string]string // the answer, by idempotency key; guarded by the model's mu
}

func newShop(r *run) (*shop, error) {
	s := &shop{
		run: r, processes: map[string]*process{}, urls: map[string]string{}, orders: map[string]string{},
		http: http.Client{Timeout: 10 * time.Second},
	}
	for _, name := range []string{story.Shop, story.Front, story.Back, story.Broker, story.Observer} {
		at, err := network.FreeAddress()
		if err != nil {
			return nil, err
		}
		s.urls[name] = at
	}
	return s, nil
}

func (s *shop) journal(name string) string {
	return filepath.Join(filepath.Dir(s.path), name+".db")
}

// args returns the command line of a process.
func (s *shop) args(name string) []string {
	if name == story.Broker {
		_, port, _ := net.SplitHostPort(s.urls[story.Broker])
		return []string{"broker", "--port", port, "--data", filepath.Join(s.folder, "broker")}
	}
	args := []string{"run", "--journal", s.journal(name), "--http", s.urls[name]}
	if name == story.Observer {
		args[0] = "observe"
		args = append(args, "--transport", "kafka", "--brokers", s.urls[story.Broker])
	}
	modules := map[string]string{story.Front: "order,inventory,notification", story.Back: "payment,shipping"}[name]
	if modules != "" {
		args = append(args, "--modules", modules, "--transport", "kafka", "--brokers", s.urls[story.Broker])
	}
	return args
}

func (s *shop) serve(name string) {
	if p := s.processes[name]; p != nil && !closed(p.ended) {
		return
	}
	p, err := s.spawn(name, s.args(name)...)
	if err != nil {
		s.find("machine", "%s cannot be started: %v", name, err)
		return
	}
	s.processes[name] = p
}

// endOne ends a process with a signal, within stopLimit.
func (s *shop) endOne(name string, signal syscall.Signal) {
	p := s.processes[name]
	if p == nil {
		return
	}
	s.endProcess(name, p, signal)
	delete(s.processes, name)
}

// play runs the steps of a shop's schedule, and then checks the books.
func (s *shop) play() {
	defer func() {
		for name := range s.processes {
			s.endOne(name, syscall.SIGKILL)
		}
	}()
	for i, step := range s.schedule.Steps {
		s.done(step)
		switch step.Do {
		case story.Start:
			s.serve(step.Key)
		case story.Stop, story.Kill:
			s.endOne(step.Key, signals[step.Do])
		case story.Freeze:
			if p := s.processes[step.Key]; p != nil {
				s.freezeProcess(p, millis(step.For))
			}
		case story.PlaceOrders:
			s.order(i, step)
		case story.Command:
			s.command(step)
		case story.Bait, story.CheckSettings, story.CheckSplit:
			s.probe(step)
		case story.Finish:
			s.beside.Wait()
		case story.Weather:
			s.weather(disk.Weather(step.Mood), millis(step.For))
		}
		pause.For(s.ctx, millis(step.Wait))
	}
	if !s.awaitBeside() {
		s.find("late", "background work did not end within %v", 2*commandLimit)
		return
	}
	s.disk.Set(disk.Good)
	s.close()
}

// order places orders, and does not wait for the answers.
func (s *shop) order(i int, step story.Step) {
	s.beside.Go(func() { s.stock(step.Key) })
	for n := range max(step.Calls, 1) {
		key := fmt.Sprintf("%d-%d", i, n)
		s.mu.Lock()
		s.orders[key] = ""
		s.mu.Unlock()
		s.beside.Go(func() {
			answer := s.post(step.Key, "/api/orders", key, `{"customer_id": "ada", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]}`)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.orders[key] = answer
		})
	}
}

// post returns the id in the answer, or "" where the request was not accepted.
func (s *shop) post(name, path, key, body string) string {
	method := map[bool]string{true: http.MethodPost, false: http.MethodPut}[key != ""]
	req, err := http.NewRequestWithContext(s.ctx, method, "http://"+s.urls[name]+path, strings.NewReader(body))
	if err != nil {
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	var answer struct{ ID, SKU string }
	if err != nil || res.StatusCode/100 != 2 || json.Unmarshal(text, &answer) != nil {
		return ""
	}
	return answer.ID + answer.SKU
}

// command runs troupe on a journal.
func (s *shop) command(step story.Step) {
	args := append(step.Args[:len(step.Args):len(step.Args)], "--journal", s.journal(step.Key))
	limit := commandLimit
	if step.For > 0 {
		limit = millis(step.For)
	}
	s.beside.Go(func() {
		res := s.runFor(s.clock, limit, s.machine.troupe, args...)
		line := "troupe " + strings.Join(args, " ")
		switch {
		case s.ctx.Err() != nil:
		case res.late && step.For > 0:
			s.count("kills", 1)
		case !s.ended(line, res):
		case step.For == 0 && res.code != 0 && slices.Contains(args, story.AwayFile) && s.accepted() > 0:
			s.find("move", "%s ends with exit code %d, although nothing prevents the move: %s", line, res.code, clip(res.err, 500))
		case args[0] == "verify" && step.Key == story.Shop && strings.Contains(res.out, `"ok": false`):
			s.find("books", "%s: %s", line, clip(res.out, 500))
		}
	})
}

// probe asks troupe a question whose right answer is known.
func (s *shop) probe(step story.Step) {
	troupe := func(args ...string) probe.Answer {
		res := s.runTool(s.machine.troupe, args...)
		s.ended("troupe "+strings.Join(args, " "), res)
		return probe.Answer{Out: res.out, Err: clip(res.err, 500), Code: res.code}
	}
	var err error
	switch {
	case step.Do == story.CheckSettings:
		err = probe.Settings(s.folder, step, troupe)
	case step.Do == story.CheckSplit && s.accepted() > 0: // else the shop may have no tables yet
		err = probe.Split(s.ctx, s.journal(story.Shop), step, troupe)
	case step.Mood == story.Parts:
		err = probe.PutBaits(filepath.Dir(s.path))
	case step.Mood == story.Log:
		err = probe.Log(s.journal(story.Shop), step.Args, troupe)
	}
	if err != nil && s.ctx.Err() == nil {
		s.find(step.Do, "%v", err)
	}
}

// close runs all processes until every order has ended, and compares the books with the accepted orders.
func (s *shop) close() {
	names, journals := []string{story.Shop}, []string{story.Shop}
	if s.schedule.Kind == "wire" {
		names, journals = []string{story.Broker, story.Front, story.Back}, []string{story.Front, story.Back}
	}
	if s.syncFailed { // as the log advises: check the disk, then start again
		for name := range s.processes {
			s.endOne(name, syscall.SIGTERM)
		}
	}
	for _, name := range names {
		s.serve(name)
	}
	if s.stormy {
		s.startRefused(journals)
	}
	if s.awaitBooks(names, journals) && s.schedule.Kind == "wire" && s.isLast(story.Unobserved) {
		s.missEvents(names, journals)
		names = append(names, story.Observer)
	}
	for i := len(names) - 1; i >= 0; i-- {
		s.endOne(names[i], syscall.SIGTERM)
	}
	if slices.ContainsFunc(s.schedule.Steps, func(step story.Step) bool { return step.Mood == story.Parts }) {
		if err := probe.TakeBaits(filepath.Dir(s.path)); err != nil {
			s.find("overwritten", "%v", err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "*.part*")); len(left) > 0 {
		s.find("leftover", "killed commands were run again to their end, but %v are left", left)
	}
}

// awaitBooks waits until every order has ended, and judges the books.
func (s *shop) awaitBooks(names, journals []string) bool {
	args := []string{"verify", "--json"}
	for _, name := range journals {
		args = append(args, "--journal", s.journal(name))
	}
	said, last := result{}, []byte(nil)
	moved := time.Now()
	for s.ctx.Err() == nil {
		s.stock(journals[0])
		said = s.runTool(s.machine.troupe, args...)
		v, now, err := readVerdict(said.out)
		if err == nil && v.OK && v.Settled && v.Books != nil && v.Books.Open == 0 {
			s.judge(journals[0], v)
			return true
		}
		for _, name := range names {
			if p := s.processes[name]; closed(p.ended) {
				s.find("died", "%s ended unexpectedly: %s", name, owner.LastWords(p.log))
				return false
			}
		}
		if !bytes.Equal(now, last) {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > 2*stallLimit {
			s.find("stall", "the books do not close: %s %s", clip(said.out, 700), clip(said.err, 300))
			return false
		}
		pause.For(s.ctx, pace)
	}
	return false
}

// stock delivers pieces of the article that the orders ask for.
func (s *shop) stock(name string) { s.post(name, "/api/stock/TEA", "", `{"quantity": 100000}`) }

// verdict is the output of troupe verify.
type verdict struct {
	OK      bool `json:"ok"`
	Settled bool `json:"settled"`
	Books   *struct {
		Orders int `json:"orders"`
		Open   int `json:"open"`
	} `json:"books"` // nil while a deployable that starts has not registered its modules
}

// readVerdict also returns the bytes of the verdict, to show progress.
func readVerdict(text string) (v verdict, all []byte, err error) {
	if text == "" {
		return v, nil, errors.New("no output")
	}
	err = json.Unmarshal([]byte(text), &v)
	return v, []byte(text), err
}

// startRefused starts the processes again that the weather refused. On a slow machine they end after the weather has.
func (s *shop) startRefused(names []string) {
	for _, name := range names {
		end := time.Now().Add(startLimit)
		for !closed(s.processes[name].ended) && s.look(name, "nothing") == 0 && time.Now().Before(end) {
			pause.For(s.ctx, pace)
		}
		s.serve(name)
	}
}

// judge compares the number of orders, and each accepted order, with the books.
func (s *shop) judge(name string, v verdict) {
	accepted, asked := s.placed()
	if v.Books.Orders < len(accepted) || v.Books.Orders > asked {
		s.find("lost", "the books have %d orders; %d of %d requests were accepted", v.Books.Orders, len(accepted), asked)
	}
	for _, id := range accepted {
		code, end := s.look(name, id), time.Now().Add(startLimit)
		for code != http.StatusOK && code != http.StatusNotFound && time.Now().Before(end) {
			pause.For(s.ctx, pace) // the process may still start: the books can be read earlier
			code = s.look(name, id)
		}
		switch code {
		case http.StatusOK:
		case http.StatusNotFound:
			s.find("lost", "order %s was accepted, but the shop does not have it", id)
		default:
			s.find("deaf", "order %s cannot be read, with no work left: status %d", id, code)
			return
		}
	}
}

// placed returns the ids of the accepted orders, and the number of requests.
func (s *shop) placed() (accepted []string, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.orders {
		if id != "" {
			accepted = append(accepted, id)
		}
	}
	return accepted, len(s.orders)
}

func (s *shop) accepted() int {
	accepted, _ := s.placed()
	return len(accepted)
}

// look returns the HTTP status of an order's page, or 0 without an answer.
func (s *shop) look(name, id string) int {
	ctx, cancel := context.WithTimeout(s.ctx, stallLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.urls[name]+"/api/orders/"+id, nil)
	if err != nil {
		return 0
	}
	res, err := s.http.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}
