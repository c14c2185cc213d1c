package console

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/troupebus/troupe/bus"
)

// HookError is a panic in a hook: a function of the App, such as Open.
type HookError struct {
	program, hook string
	value         any // of the panic
	stack         string
}

// Error implements error, with the stack in the lines after the first.
func (e *HookError) Error() string {
	return fmt.Sprintf("app %s: %s panicked: %v\n\n%s", e.program, e.hook, e.value, e.stack)
}

// Guard calls fn, which calls a hook, and returns a panic of the hook as an error: the command can then close the
// journal and release the locks.
func (p *Wired) Guard(hook string, fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &HookError{program: p.Name, hook: hook, value: v, stack: stackOfPanic(string(debug.Stack()))}
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

// Assemble calls Wire.
func (p *Wired) Assemble(b *bus.Bus) (doors any, err error) {
	err = p.Guard("Wire", func() { doors = p.Wire(b) })
	return doors, err
}

// OpenOwn calls Open, and returns a close function that does not panic.
func (p *Wired) OpenOwn(ctx context.Context, d *Deployable) (closeOwn func() error, err error) {
	var opened func() error
	if failed := p.Guard("Open", func() { opened, err = p.Open(ctx, d) }); failed != nil {
		return nil, failed
	}
	if opened == nil {
		return nil, err
	}
	return func() (err error) {
		failed := p.Guard("the close function of Open", func() { err = opened() })
		return cmp.Or(failed, err)
	}, err
}

// MoveFiles calls Moved.
func (p *Wired) MoveFiles(m Move) (err error) {
	failed := p.Guard("Moved", func() { err = p.Moved(m) })
	return cmp.Or(failed, err)
}

// RunCommand calls Run of c.
func (p *Wired) RunCommand(ctx context.Context, c Command, call *Call) (err error) {
	failed := p.Guard("Run of command "+c.Name, func() { err = c.Run(ctx, call) })
	return cmp.Or(failed, err)
}

// CheckArgs calls Check of c, if c has one. An error of Check is a mistake in the command line, a panic is not.
func (p *Wired) CheckArgs(c Command, args []string) (err error) {
	if c.Check == nil {
		return nil
	}
	if failed := p.Guard("Check of command "+c.Name, func() { err = c.Check(args) }); failed != nil {
		return failed
	}
	if err != nil {
		return UsageErrorf("%s: %w", c.Name, err)
	}
	return nil
}

// PoliciesOf returns the policies of the bus for c.
func (p *Wired) PoliciesOf(c Command) (bus.Config, error) {
	policies := p.Bus
	if c.Bus == nil {
		return policies, nil
	}
	err := p.Guard("Bus of command "+c.Name, func() { c.Bus(&policies) })
	return policies, err
}
