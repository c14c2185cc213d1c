package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/troupebus/troupe/bus/vet"
	"github.com/troupebus/troupe/internal/cli/console"
)

const vetLong = `vet reads the source of modules, and finds mistakes that the compiler does not find: emitted events
that are thrown away, a Publish in a handler, the clock or a random value in an event, state in
package variables, a Rollback of the transaction of the bus, and variables that grow twice when a
unit of work runs again.

Name packages as for 'go vet'; the default is ./... . vet runs 'go vet', so Go must be installed. A
comment says that code is meant: //troupe:allow clock the row is a log. The comment has the name of
the analyzer and a reason, and is on the line of the finding or on the line before.

Editors and other tools can run the analyzers, too: go vet -vettool=$(which {name}) ./...

The exit code is 1 after a finding. With --json, the output has the findings by package and by
analyzer, as 'go vet -json' prints them.`

const vetExample = `  {name} vet
  {name} vet ./billing/...
  {name} vet --json | jq 'map_values(keys)'`

func newVetCmd(o *console.Options) *cobra.Command {
	return &cobra.Command{
		Use: "vet [PACKAGE...]", Short: "Find mistakes in the source of modules",
		Long: vetLong, Example: vetExample, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, packages []string) error {
			if len(packages) == 0 {
				packages = []string{"./..."}
			}
			return runVet(cmd, o, packages)
		},
	}
}

// runVet lets go vet run this program as the tool that has the analyzers.
func runVet(cmd *cobra.Command, o *console.Options, packages []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the file of this program: %w", err)
	}
	args := []string{"vet", "-vettool=" + self}
	if o.Json {
		args = append(args, "-json")
	}
	run := exec.CommandContext(cmd.Context(), "go", append(append(args, "--"), packages...)...)
	run.Stderr = o.Stderr
	if !o.Json {
		run.Stdout = o.Stdout
		return vetError(run.Run())
	}
	out, err := run.Output()
	if err != nil {
		return vetError(err)
	}
	found, err := decodeFindings(out)
	if err != nil {
		return err
	}
	if err := o.PrintJSON(found); err != nil || len(found) == 0 {
		return err
	}
	return &console.ExitError{Code: console.ExitWrong}
}

// vetError returns the error of go vet. go vet has printed the findings, and what it could not build.
func vetError(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return &console.ExitError{Code: console.ExitWrong}
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("run go vet: %w: install Go, https://go.dev/doc/install", err)
	case err != nil:
		return fmt.Errorf("run go vet: %w", err)
	}
	return nil
}

// findings are the findings by package and analyzer.
type findings map[string]map[string]json.RawMessage

// decodeFindings joins the objects that go vet prints for each package.
func decodeFindings(out []byte) (findings, error) {
	all := findings{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var one findings
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode the output of go vet: %w", err)
		}
		for name, of := range one {
			all[name] = of
		}
	}
}

// isVetTool reports whether go vet runs this program as its tool: for the version, for the flags, or for a package.
func isVetTool(args []string) bool {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") && len(args) > 1 {
		return false
	}
	return args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], "vet.cfg")
}

// runVetTool checks a package for go vet, and ends the process.
func runVetTool() { unitchecker.Main(vet.Analyzers...) }
