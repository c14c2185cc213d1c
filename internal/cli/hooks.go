package cli

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/troupebus/troupe/bus"
)

// hookError is a panic in a hook: a function of the App, such as Open.
type hookError struct {
	program, hook string
	value         any // of the panic
	stack         string
}

// Error implements error, with the stack in the lines after the first.
func (e *hookError) Error() string {
	return fmt.Sprintf("App %s: %s panicked: %v\n\n%s", e.program, e.hook, e.value, e.stack)
}

// guard calls fn, which calls a hook, and returns a panic of the hook as an error: the command can then close the
// journal and release the locks.
func (p *program) guard(hook string, fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &hookError{program: p.Name, hook: hook, value: v, stack: stackOfPanic(string(debug.Stack()))}
		}
	}()
	fn()
	return nil
}

// stackOfPanic returns stack without the calls above the function that panicked.
func stackOfPanic(stack string) string {
	if _, after, ok := strings.Cut(stack, "\npanic("); ok {
		if _, frames, ok := strings.Cut(after, "\n\t"); ok {
			_, stack, _ = strings.Cut(frames, "\n") // the line of panic in package runtime
		}
	}
	return strings.TrimRight(stack, "\n")
}

// wire calls Wire.
func (p *program) wire(b *bus.Bus) (doors any, err error) {
	err = p.guard("Wire", func() { doors = p.Wire(b) })
	return doors, err
}

// openOwn calls Open, and returns a close function that does not panic.
func (p *program) openOwn(ctx context.Context, d *Deployable) (closeOwn func() error, err error) {
	var opened func() error
	if failed := p.guard("Open", func() { opened, err = p.Open(ctx, d) }); failed != nil {
		return nil, failed
	}
	if opened == nil {
		return nil, err
	}
	return func() (err error) {
		failed := p.guard("the close function of Open", func() { err = opened() })
		return cmp.Or(failed, err)
	}, err
}

// moveFiles calls Moved.
func (p *program) moveFiles(m Move) (err error) {
	failed := p.guard("Moved", func() { err = p.Moved(m) })
	return cmp.Or(failed, err)
}

// runCommand calls Run of c.
func (p *program) runCommand(ctx context.Context, c Command, call *Call) (err error) {
	failed := p.guard("Run of command "+c.Name, func() { err = c.Run(ctx, call) })
	return cmp.Or(failed, err)
}

// checkArgs calls Check of c, if c has one. An error of Check is a mistake in the command line, a panic is not.
func (p *program) checkArgs(c Command, args []string) (err error) {
	if c.Check == nil {
		return nil
	}
	if failed := p.guard("Check of command "+c.Name, func() { err = c.Check(args) }); failed != nil {
		return failed
	}
	if err != nil {
		return usageErrorf("%s: %w", c.Name, err)
	}
	return nil
}

// policiesOf returns the policies of the bus for c.
func (p *program) policiesOf(c Command) (bus.Config, error) {
	policies := p.Bus
	if c.Bus == nil {
		return policies, nil
	}
	err := p.guard("Bus of command "+c.Name, func() { c.Bus(&policies) })
	return policies, err
}
