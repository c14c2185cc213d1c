// Package process sets up the process of a command line: signals, closed pipes, and the memory limit.
package process

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals stop a program: from a person at the terminal, from a process manager, and from a closed terminal.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// UntilStopped returns a context that ends with the first of stopSignals; a second signal kills the process. A signal
// that is ignored at the start, such as SIGHUP by nohup, stays ignored.
func UntilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	var signals []os.Signal
	for _, s := range stopSignals {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	if len(signals) == 0 { // for signal.Notify, an empty list means all signals
		return context.WithCancel(ctx)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// OutliveReaders keeps a server running when the reader of its output ends: writes fail, and the output is lost.
// Without OutliveReaders, the first line to a closed pipe kills the process.
func OutliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// IgnoreClosedPipe returns err, or nil for a write to a closed pipe.
func IgnoreClosedPipe(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
