//go:build unix

package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sessionLimit is the time limit for all sessions of a page together.
const sessionLimit = 5 * time.Minute

// mark begins the line that the shell writes after each command: mark, status.
const mark = "\x01"

// command is a command of a session, with its output on the page.
type command struct {
	line int
	text string
	want []string
}

// result is the result of a command; ran is false if the shell did not run the command.
type result struct {
	ran    bool
	status string
	output string
}

// commands reads a session. Its finding is about text without a command.
func commands(b block) ([]command, []finding) {
	var list []command
	more := false // the command continues
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		at := b.line + 1 + i
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case more:
			list[len(list)-1].text += "\n" + line
		case isCommand:
			list = append(list, command{line: at, text: text})
		case len(list) > 0:
			list[len(list)-1].want = append(list[len(list)-1].want, line)
			continue
		case line != "" && !strings.HasPrefix(line, "#"):
			return nil, []finding{{at, "not a command: begin it with \"$ \", or skip the block with a reason"}}
		}
		more = (more || isCommand) && strings.HasSuffix(line, `\`)
	}
	if len(list) == 0 {
		return nil, []finding{{b.line, "the session has no command: begin one with \"$ \", or skip the block with a reason"}}
	}
	return list, nil
}

// script joins all sessions into a script. Each command is evaluated separately, so that a broken command breaks no
// other.
func script(root string, sessions [][]command, blocks []block) string {
	var b strings.Builder
	for i, list := range sessions {
		if blocks[i].is == inCheckout {
			fmt.Fprintf(&b, "pushd %s >/dev/null\n", quote(root))
		}
		for _, c := range list {
			fmt.Fprintf(&b, "eval %s\nprintf '\\n\\001%%d\\n' $?\n", quote(c.text))
		}
		if blocks[i].is == inCheckout {
			b.WriteString("popd >/dev/null\n")
		}
	}
	return b.String()
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// checkSessions runs the page's sessions in one shell and compares the output.
func checkSessions(tb testing.TB, root, bin string, p page) []finding {
	tb.Helper()
	blocks := p.sessions()
	sessions := make([][]command, len(blocks))
	var all []command
	for i, b := range blocks {
		list, wrong := commands(b)
		if wrong != nil {
			return wrong
		}
		sessions[i] = list
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil
	}
	results := MustRunScript(tb, bin, script(root, sessions, blocks), len(all))
	var found []finding
	for i, c := range all {
		if text := c.compare(results[i]); text != "" {
			found = append(found, finding{c.line, text})
		}
	}
	return found
}

// compare returns what is wrong with a result, or "".
func (c command) compare(r result) string {
	switch {
	case !r.ran:
		return fmt.Sprintf("$ %s\ndid not end: the shell was left by a command before, or %v were over\n%s", c.text, sessionLimit, r.output)
	case r.status != "0":
		return fmt.Sprintf("$ %s\nexit status %s, want 0\n%s", c.text, r.status, r.output)
	}
	if miss := mismatch(c.want, r.output); miss != "" {
		return fmt.Sprintf("$ %s\n%s", c.text, miss)
	}
	return ""
}

// MustRunScript runs a script of n commands in an empty folder, and splits its output at the marks.
func MustRunScript(tb testing.TB, bin, text string, n int) []result {
	tb.Helper()
	out, err := os.Create(filepath.Join(tb.TempDir(), "output"))
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), sessionLimit)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", text)
	shell.Dir = tb.TempDir()
	shell.Env = sessionEnv(os.Environ(), bin)
	shell.Stdout, shell.Stderr = out, out // a file, so that processes in the background do not delay Run
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.Cancel = killGroup
	err = shell.Run()
	if shell.Process == nil {
		tb.Fatalf("start bash: %v", err)
	}
	if err := killGroup(); err != nil && !errors.Is(err, syscall.ESRCH) {
		tb.Errorf("kill what the sessions left running: %v", err)
	}
	written, err := os.ReadFile(out.Name())
	if err != nil {
		tb.Fatal(err)
	}
	return cut(string(written), n)
}

// sessionEnv returns the environment of a session: ours, without the variables of make and test runs.
func sessionEnv(environ []string, bin string) []string {
	var env []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if name != "MFLAGS" && !strings.HasPrefix(name, "MAKE") && !strings.HasPrefix(name, "TROUPE_") {
			env = append(env, e)
		}
	}
	return append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "NO_COLOR=1")
}

// cut splits the script's output into the commands' results. A mark has the status of the command before it.
func cut(written string, n int) []result {
	results := make([]result, n)
	for i := range results {
		output, rest, ran := strings.Cut(written, "\n"+mark)
		results[i] = result{ran: ran, output: output}
		results[i].status, written, _ = strings.Cut(rest, "\n")
	}
	return results
}

// mismatch compares output with the lines of the page, and returns the first difference, or "".
func mismatch(want []string, output string) string {
	for len(want) > 0 && strings.TrimSpace(want[len(want)-1]) == "" {
		want = want[:len(want)-1]
	}
	text := ""
	if output = strings.TrimRight(output, " \r\n"); output != "" {
		for line := range strings.SplitSeq(output, "\n") {
			text += strings.TrimRight(line, " \r") + "\n"
		}
	}
	if pattern(want, "$").MatchString(text) {
		return ""
	}
	for i, line := range want {
		if !pattern(want[:i+1], "").MatchString(text) {
			return fmt.Sprintf("the output has no line that fits %q\n--- output\n%s", line, text)
		}
	}
	return "the output goes on after what the page shows\n--- output\n" + text
}

// pattern converts the lines of the page to an expression over whole lines, with end after the last line.
func pattern(want []string, end string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	for _, line := range want {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " ")), "…", ".*") + `\n`)
	}
	return regexp.MustCompile(b.String() + end)
}
