package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals ask a program to stop: a person at the terminal, whoever looks after processes, and a terminal that is gone.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// untilStopped returns a context that ends with the first of stopSignals; a second one ends the process at once. Whoever started the
// program with one of them ignored, as nohup does with SIGHUP, wants it to go on.
func untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	var heard []os.Signal
	for _, s := range stopSignals {
		if !signal.Ignored(s) {
			heard = append(heard, s)
		}
	}
	if len(heard) == 0 { // signal.Notify would take that for all there are
		return context.WithCancel(ctx)
	}
	ctx, stop := signal.NotifyContext(ctx, heard...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// outliveReaders makes a program that serves go on when nobody reads its output any more: what it writes then fails, and is lost.
// Without this the first line ends the process, when its log goes to a pipe whose reader is gone.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// unheard makes nothing of an error which says that nobody reads the output any more.
func unheard(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
