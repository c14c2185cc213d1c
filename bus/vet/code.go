package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

const busPath = "github.com/troupebus/troupe/bus"

// work finds the code of a package that the bus runs.
var work = &analysis.Analyzer{
	Name: "troupework", Doc: "find the code that the bus runs",
	Requires: []*analysis.Analyzer{inspect.Analyzer}, Run: findWork, ResultType: reflect.TypeFor[*code](),
}

// role says how the bus runs a function.
type role int

const (
	handler     role = iota // of events, or of due times
	unit                    // Do
	transaction             // Commit and Events.Also
	view
)

// String returns the role with its article.
func (r role) String() string {
	return [...]string{"a handler", "a unit of work", "work with a transaction", "a View"}[r]
}

// entrances are the functions of package bus that take a function to run, with the index of the argument.
var entrances = map[string]struct {
	arg  int
	role role
}{
	"On": {2, handler}, "OnAll": {2, handler}, "Of": {0, handler}, "Module.Every": {2, handler},
	"Do": {3, unit}, "Module.Do": {1, unit},
	"Commit": {1, transaction}, "Events.Also": {0, transaction},
	"Bus.View": {1, view}, "Module.View": {1, view},
}

// entry is a function that the bus runs.
type entry struct {
	role role
	fn   ast.Node // *ast.FuncLit or *ast.FuncDecl
	// outside is set for handlers that External marks, and for handlers with refinements in another place.
	outside   bool
	scheduled bool // Module.Every: the result is the event
}

// code is a package, with the code that the bus runs.
type code struct {
	*analysis.Pass
	entries []entry
	isEntry map[ast.Node]bool
	bodies  map[types.Object]ast.Node // of functions, and of variables that hold one function literal
	allowed map[allowance]bool
}

// allowance is a comment that allows the findings of an analyzer.
type allowance struct {
	file     string
	line     int // 0 for the whole file
	analyzer string
}

// run returns the Run function of an analyzer that needs the code of a package.
func run(analyze func(c *code)) func(*analysis.Pass) (any, error) {
	return func(pass *analysis.Pass) (any, error) {
		c := *pass.ResultOf[work].(*code)
		c.Pass = pass
		analyze(&c)
		return nil, nil
	}
}

// report reports a finding, unless a comment allows it.
func (c *code) report(at ast.Node, format string, args ...any) {
	if !c.isAllowed(at) {
		c.ReportRangef(at, format, args...)
	}
}

// isAllowed reports whether a comment allows the findings of the analyzer at a node.
func (c *code) isAllowed(at ast.Node) bool {
	pos := c.Fset.Position(at.Pos())
	for _, line := range []int{pos.Line, pos.Line - 1, 0} {
		if c.allowed[allowance{pos.Filename, line, c.Analyzer.Name}] {
			return true
		}
	}
	return false
}

func findWork(pass *analysis.Pass) (any, error) {
	c := &code{Pass: pass, isEntry: map[ast.Node]bool{}, allowed: map[allowance]bool{}}
	for _, file := range pass.Files {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				c.allow(comment, comment.Pos() < file.Package)
			}
		}
	}
	tree := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	c.bodies = bodiesOf(pass.TypesInfo, tree)
	for at := range tree.Root().Preorder((*ast.CallExpr)(nil)) {
		call := at.Node().(*ast.CallExpr)
		name := c.busName(call)
		e, ok := entrances[name]
		if !ok || len(call.Args) <= e.arg {
			continue
		}
		if fn := c.body(call.Args[e.arg]); fn != nil {
			c.entries = append(c.entries, entry{e.role, fn, e.role == handler && c.mayBeExternal(at), name == "Module.Every"})
			c.isEntry[fn] = true
		}
	}
	return c, nil
}

// allow reads a comment such as "//troupe:allow clock the row is a log", for a line or for the whole file.
func (c *code) allow(comment *ast.Comment, whole bool) {
	text, ok := strings.CutPrefix(comment.Text, "//troupe:allow ")
	if words := strings.Fields(text); ok && len(words) > 1 {
		pos := c.Fset.Position(comment.Pos())
		if whole {
			pos.Line = 0
		}
		c.allowed[allowance{pos.Filename, pos.Line, words[0]}] = true
	}
}

// bodiesOf finds the functions of a package, and the variables that hold one function literal.
func bodiesOf(info *types.Info, tree *inspector.Inspector) map[types.Object]ast.Node {
	bodies, values := map[types.Object]ast.Node{}, map[types.Object]int{}
	hold := func(name *ast.Ident, value ast.Expr) {
		o := info.ObjectOf(name)
		values[o]++
		if fn, ok := value.(*ast.FuncLit); ok && values[o] == 1 {
			bodies[o] = fn
		} else {
			delete(bodies, o)
		}
	}
	for n := range tree.PreorderSeq((*ast.FuncDecl)(nil), (*ast.AssignStmt)(nil), (*ast.ValueSpec)(nil)) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			bodies[info.Defs[n.Name]] = n
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok {
					hold(name, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			}
		case *ast.ValueSpec:
			for i, value := range n.Values {
				hold(n.Names[i], value)
			}
		}
	}
	return bodies
}

// body returns the function that e stands for, or nil if the package does not show the function.
func (c *code) body(e ast.Expr) ast.Node {
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		return e
	case *ast.Ident:
		return c.bodies[origin(c.TypesInfo.Uses[e])]
	case *ast.SelectorExpr:
		return c.bodies[origin(c.TypesInfo.Uses[e.Sel])]
	case *ast.IndexExpr: // a generic function with its type
		return c.body(e.X)
	}
	return nil
}

// origin returns the declared function of an instance.
func origin(o types.Object) types.Object {
	if fn, ok := o.(*types.Func); ok {
		return fn.Origin()
	}
	return o
}

// callee returns the called function, or nil.
func (c *code) callee(call *ast.CallExpr) *types.Func {
	fn, _ := typeutil.Callee(c.TypesInfo, call).(*types.Func)
	return fn
}

// busName returns the name of a called function or method of package bus, such as "Emit" or "Module.Do", or "".
func (c *code) busName(call *ast.CallExpr) string {
	fn := c.callee(call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != busPath {
		return ""
	}
	if recv := fn.Signature().Recv(); recv != nil {
		return nameOf(recv.Type()) + "." + fn.Name()
	}
	return fn.Name()
}

// nameOf returns the name of a type, or of the type that a pointer points to.
func nameOf(t types.Type) string {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// mayBeExternal reports whether a handler is marked External, or is used in a way that hides the refinements.
func (c *code) mayBeExternal(at inspector.Cursor) bool {
	for {
		parent := at.Parent()
		switch n := parent.Node().(type) {
		case *ast.SelectorExpr:
			if n.Sel.Name == "External" {
				return true
			}
		case *ast.CallExpr:
			if n.Fun != at.Node() && c.busName(n) != "OnEach" {
				return true
			}
		default:
			_, seen := n.(*ast.ExprStmt)
			return !seen
		}
		at = parent
	}
}

// inside walks the body of fn. enter reports whether inside should also walk the children of a node.
func inside(fn ast.Node, enter func(ast.Node) bool) {
	var body *ast.BlockStmt
	switch fn := fn.(type) {
	case *ast.FuncLit:
		body = fn.Body
	case *ast.FuncDecl:
		body = fn.Body
	}
	if body != nil {
		ast.Inspect(body, enter)
	}
}

// reached returns fn, and all functions of the package that fn calls, directly or not.
func (c *code) reached(fn ast.Node) []ast.Node {
	found, known := []ast.Node{fn}, map[ast.Node]bool{fn: true}
	for i := 0; i < len(found); i++ {
		inside(found[i], func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if next := c.body(call.Fun); next != nil && !known[next] && !holds(found, next) {
					known[next] = true
					found = append(found, next)
				}
			}
			return true
		})
	}
	return found
}

// holds reports whether n lies in one of the functions.
func holds(functions []ast.Node, n ast.Node) bool {
	for _, fn := range functions {
		if within(n.Pos(), fn) {
			return true
		}
	}
	return false
}

func within(pos token.Pos, n ast.Node) bool { return n.Pos() <= pos && pos < n.End() }
