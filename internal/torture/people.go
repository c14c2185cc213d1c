package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// result is the result of a process that should end without a signal.
type result struct {
	out, err string
	code     int
	late     bool
}

// runTool runs a process to its end, within commandLimit.
func (r *run) runTool(name string, args ...string) result {
	return r.runFor(r.clock, commandLimit, name, args...)
}

// runFor runs a process to its end by clock c. A process that still runs after limit is killed, and its result is
// late.
func (r *run) runFor(c *disk.Clock, limit time.Duration, name string, args ...string) result {
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, r.folder
	if err := r.launch(c, cmd); err != nil {
		return result{code: -1, err: err.Error()}
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	late := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	err := cmd.Wait()
	res := result{out: out.String(), err: errs.String(), late: !late()}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		res.code = ended.ExitCode()
	} else if err != nil {
		res.code = -1
	}
	return res
}

// tool runs a tool of the victim in the background.
func (r *run) tool(who string, args ...string) {
	r.beside.Go(func() {
		if res := r.runTool(r.machine.victim, args...); res.late && r.ctx.Err() == nil {
			r.find("late", "a %s did not end within %v", who, commandLimit)
		}
	})
}

// foreign publishes in a foreign transaction.
func (r *run) foreign(s story.Step) {
	a := r.asks(ask{what: story.Foreign, key: s.Key, n: s.N, count: s.Count})
	r.beside.Go(func() {
		res := r.runTool(r.machine.victim, "foreign", "--journal", r.path, "--key", s.Key, "--first", fmt.Sprint(s.N), "--count", fmt.Sprint(s.Count), "--hold", millis(s.For).String())
		switch {
		case strings.Contains(res.out, "done"):
			r.answered(a, talk.Done, "")
		case res.late || res.code < 0:
			r.answered(a, talk.Unknown, res.err)
		default: // the commit may have succeeded: the sync after a commit can fail
			r.answered(a, map[bool]string{true: talk.NotDone, false: talk.Unknown}[r.alwaysGood()], res.err)
		}
	})
}

// reading reports whether a command must work in any state of the disk.
func reading(args []string) bool {
	return args[0] == "events" || args[0] == "trace" || args[0] == "dlq" && (args[1] == "list" || args[1] == "show")
}

// person runs a troupe command in the background, and compares its answer with the model.
func (r *run) person(i int, s story.Step) {
	args := append(slices.Clone(s.Args), "--journal", r.path)
	reason := fmt.Sprint("step-", i)
	acts := s.Args[0] == "dlq" && (s.Args[1] == "replay" || s.Args[1] == "drop")
	if acts {
		args = append(args, "--reason", reason)
	}
	_, err := os.Stat(r.path)
	existed := err == nil && r.answeredDone()
	before, began := r.mustHave(), r.disk.Weather()
	r.beside.Go(func() {
		res := r.runTool(r.machine.troupe, args...)
		if r.ctx.Err() != nil {
			return
		}
		line := "troupe " + strings.Join(args, " ")
		said := clip(res.err, 500)
		switch {
		case !r.ended(line, res) && res.late:
			return
		case res.code != 0 && res.err == "" && res.out == "":
			r.find("silent", "%s: exit code %d without any output", line, res.code)
		case res.code == 1 && reading(s.Args) && existed && r.lost() == "" && began != disk.WriteFails && !strings.Contains(res.err, "not found"):
			r.find("unreadable", "on a disk that is %q, %s: %s", began, line, said)
		}
		if acts {
			answer := map[int]string{0: talk.Done, 1: talk.NotDone, 2: talk.NotDone}[res.code]
			if res.code == 1 && s.Args[1] == "replay" { // the replayed delivery may be dead again
				answer = talk.Unknown
			}
			r.acted(act{reason: reason, verb: s.Args[1], answer: answer, said: said})
		}
		if res.code == 0 && slices.Contains(args, "torture.asked") && r.lost() == "" {
			r.countEvents(line, res.out, before)
		}
	})
}

// countEvents compares a list of events with the model's numbers before and after the command.
func (r *run) countEvents(line, out string, before int) {
	n := 0
	for dec := json.NewDecoder(strings.NewReader(out)); ; n++ {
		var e struct{ ID string }
		if err := dec.Decode(&e); err != nil {
			if dec.More() {
				r.find("garbled", "%s: line %d: %v", line, n+1, err)
			}
			break
		}
	}
	if after := r.mayHave(); n < before || n > after {
		r.find("count", "%s lists %d events; %d were acknowledged before, and at most %d can exist", line, n, before, after)
	}
}

func clip(s string, most int) string {
	if s = strings.TrimSpace(s); len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// awaitBeside reports whether all background work ended within twice the commandLimit.
func (r *run) awaitBeside() bool {
	ended := make(chan struct{})
	go func() {
		r.beside.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(2 * commandLimit):
		return false
	}
}
