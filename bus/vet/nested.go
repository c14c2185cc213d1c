package vet

import (
	"go/ast"
	"strings"
)

// pure are the functions of package bus without an effect beside the result, with the loss.
var pure = map[string]string{
	"Emit": "no event is emitted: return the events", "Events.Also": "the function does not run: return the events",
	"After": "no event is emitted: pass the result to bus.Emit", "At": "no event is emitted: pass the result to bus.Emit",
	"Delayed.Named": "the event has no name: pass the result to bus.Emit",
	"Cancel":        "no event is cancelled: pass the result to bus.Emit",
	"Dead":          "the delivery does not become a dead letter: return the error",
	"Drop":          "the delivery is not dropped: return the error",
	"RetryAfter":    "the delay is not changed: return the error",
	"Correlate":     "the flow is not changed: use the context", "With": "no metadata are set: use the context",
}

func discard(c *code) {
	for _, file := range c.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.ExprStmt); ok {
				call, _ := ast.Unparen(s.X).(*ast.CallExpr)
				if call == nil {
					return true
				}
				name := c.busName(call)
				if loss := pure[name]; loss != "" {
					c.report(s, "the result of %s is thrown away: %s", shown(name), loss)
				}
			}
			return true
		})
	}
}

// shown returns the name of a function as code has it.
func shown(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return "bus." + name
}

func nested(c *code) {
	for _, e := range c.entries {
		if e.role == view {
			continue
		}
		f := finder{c, e, map[ast.Node]string{}}
		inside(e.fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return !c.isEntry[n]
			}
			if name := f.forbidden(call); name != "" {
				c.report(call, "%s in %s is refused, whatever its context: %s", shown(name), e.role, instead(name))
			} else if fn := c.body(call.Fun); fn != nil && !c.isEntry[fn] && !within(fn.Pos(), e.fn) {
				if name := f.find(fn); name != "" {
					c.report(call, "this call leads to %s, which is refused in %s, whatever its context: %s",
						shown(name), e.role, instead(name))
				}
			}
			return true
		})
	}
}

func instead(name string) string {
	if strings.HasSuffix(name, "View") {
		return "read through bus.Tx"
	}
	return "return the events"
}

// finder finds calls that an entry must not make.
type finder struct {
	*code
	entry
	found map[ast.Node]string // by function; "" without such a call
}

// forbidden returns the name of the called function if the entry must not call the function, and no comment allows it.
func (f finder) forbidden(call *ast.CallExpr) string {
	if f.isAllowed(call) {
		return ""
	}
	switch name := f.busName(call); name {
	case "Do", "Module.Do", "Module.Publish":
		return name
	case "Module.View", "Bus.View":
		if !f.outside {
			return name
		}
	}
	return ""
}

// find returns the name of the first forbidden function that fn calls, directly or not.
func (f finder) find(fn ast.Node) (name string) {
	if known, ok := f.found[fn]; ok {
		return known
	}
	f.found[fn] = ""
	inside(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || name != "" {
			return name == "" && !f.isEntry[n]
		}
		if name = f.forbidden(call); name == "" {
			if next := f.body(call.Fun); next != nil && !f.isEntry[next] {
				name = f.find(next)
			}
		}
		return true
	})
	f.found[fn] = name
	return name
}
