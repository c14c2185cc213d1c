package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/troupebus/troupe/internal/bench/work"
)

// Start runs a job, and returns the figures of its worker.
type Start func(context.Context, work.Job) (work.Figures, error)

// Process returns a Start that runs every job in a fresh process: this program with args, which must pass standard
// input and output to Serve. When ctx ends, the process is killed. A process that fails, or prints no figures, is an
// error with the process's standard error.
func Process(args ...string) Start {
	return func(ctx context.Context, j work.Job) (work.Figures, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("bench: find this program to run worker %s: %w", j.Worker, err)
		}
		in, err := json.Marshal(j)
		if err != nil {
			return nil, err
		}
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
		err = cmd.Run()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("bench: process of worker %s: %w", j.Worker, context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("bench: process of worker %s: %w: %s", j.Worker, err, strings.TrimSpace(errs.String()))
		}
		var f work.Figures
		if err := json.Unmarshal(out.Bytes(), &f); err != nil {
			return nil, fmt.Errorf("bench: process of worker %s answered %.200q: %w", j.Worker, out.String(), err)
		}
		return f, nil
	}
}

// Serve reads a job from in, runs it, and writes the figures to out. It is the other end of Process.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var j work.Job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("bench: read the job: %w", err)
	}
	f, err := work.Run(ctx, j)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(f)
}
