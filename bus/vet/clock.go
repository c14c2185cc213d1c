package vet

import (
	"go/ast"
	"go/types"
	"regexp"
	"strings"
)

func clock(c *code) {
	t := &tracer{code: c, results: map[ast.Node]*source{}, reported: map[ast.Node]bool{}}
	for _, e := range c.entries {
		if e.role == view || t.holding(e.fn) {
			continue
		}
		for _, fn := range c.reached(e.fn) {
			t.check(fn, e)
		}
	}
}

// source is a call that returns another value in each run.
type source struct {
	call   *ast.CallExpr
	name   string // such as "time.Now"
	random bool
}

// tracer follows values of sources.
type tracer struct {
	*code
	results  map[ast.Node]*source // of functions
	reported map[ast.Node]bool    // calls
}

// holding reports whether fn lies in another entry: the tracer follows all code in an entry, except in a View.
func (t *tracer) holding(fn ast.Node) bool {
	for _, e := range t.entries {
		if e.fn != fn && e.role != view && within(fn.Pos(), e.fn) {
			return true
		}
	}
	return false
}

// flow has the variables and fields of a function with the value of a source.
type flow map[place]*source

// check reports the sources in fn with values that get into an event, a row or a call.
func (t *tracer) check(fn ast.Node, e entry) {
	f := t.flowOf(fn)
	inside(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			t.checkCall(f, n, e)
		case *ast.ReturnStmt:
			if e.scheduled && fn == e.fn && len(n.Results) == 1 {
				t.sink(f, n.Results[0], "an event", e)
			}
		}
		return true
	})
}

// checkCall reports the sources among the arguments of a call that emits, writes or calls the outside.
func (t *tracer) checkCall(f flow, call *ast.CallExpr, e entry) {
	args := call.Args
	switch t.busName(call) {
	case "Emit", "After", "At":
		for _, arg := range args {
			t.sink(f, arg, "an event", e)
		}
		return
	case "":
	default:
		if !t.writes(call) {
			return
		}
	}
	switch {
	case t.writes(call):
		for _, arg := range args {
			t.sink(f, arg, "a row", e)
		}
	case t.callsOut(call):
		for _, arg := range args {
			if s := t.of(f, arg); s != nil && s.random && !isType(t.TypesInfo.TypeOf(arg), "time", "Duration") {
				t.sink(f, arg, "a call to the outside", e)
			}
		}
	}
}

// writes reports whether a call has a transaction, or is a method of a transaction.
func (t *tracer) writes(call *ast.CallExpr) bool {
	isTx := func(e ast.Expr) bool {
		of := t.TypesInfo.TypeOf(e)
		return of != nil && (t.isSQL(of) || isType(of, "database/sql", "Tx") || isType(of, "database/sql", "Stmt"))
	}
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && isTx(sel.X) {
		return true
	}
	for _, arg := range call.Args {
		if isTx(arg) {
			return true
		}
	}
	return false
}

// quiet are packages with functions that take a context and call no other system.
var quiet = map[string]bool{"context": true, "log/slog": true, busPath: true}

// callsOut reports whether a call has a context.
func (t *tracer) callsOut(call *ast.CallExpr) bool {
	if fn := t.callee(call); fn == nil || fn.Pkg() == nil || quiet[fn.Pkg().Path()] {
		return false
	}
	for _, arg := range call.Args {
		if isType(t.TypesInfo.TypeOf(arg), "context", "Context") {
			return true
		}
	}
	return false
}

// sink reports the source of e, which gets into a thing.
func (t *tracer) sink(f flow, e ast.Expr, thing string, in entry) {
	s := t.of(f, e)
	if s == nil || t.reported[s.call] {
		return
	}
	t.reported[s.call] = true
	use := "bus.Now(ctx)"
	switch {
	case s.random:
		use = "bus.NewID(ctx), or a value from the event"
	case in.scheduled:
		use = "the due time"
	}
	t.report(s.call, "%s returns another value when %s runs again, and the value gets into %s: use %s",
		s.name, in.role, thing, use)
}

// flowOf finds the variables of fn that hold the value of a source.
func (t *tracer) flowOf(fn ast.Node) flow {
	f := flow{}
	for before := -1; before != len(f); {
		before = len(f)
		inside(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				t.assign(f, n.Lhs, n.Rhs)
			case *ast.ValueSpec:
				var names []ast.Expr
				for _, name := range n.Names {
					names = append(names, name)
				}
				t.assign(f, names, n.Values)
			case *ast.RangeStmt:
				if n.Value != nil {
					t.assign(f, []ast.Expr{n.Value}, []ast.Expr{n.X})
				}
			case *ast.CallExpr:
				if t.sourceName(n) == "crypto/rand.Read" && len(n.Args) == 1 {
					t.hold(f, n.Args[0], &source{n, "rand.Read", true})
				}
			}
			return true
		})
	}
	return f
}

func (t *tracer) assign(f flow, left, right []ast.Expr) {
	for i, l := range left {
		if len(right) == 0 {
			return
		}
		if s := t.of(f, right[min(i, len(right)-1)]); s != nil && t.carries(t.TypesInfo.TypeOf(l)) {
			t.hold(f, l, s)
		}
	}
}

func (t *tracer) hold(f flow, e ast.Expr, s *source) {
	if v, field := t.placeOf(e); v != nil && f[place{v, field}] == nil {
		f[place{v, field}] = s
	}
}

// carries reports whether values of a type can carry the value of a source. A decision and an error do not.
func (t *tracer) carries(of types.Type) bool {
	if of == nil {
		return true
	}
	b, ok := of.Underlying().(*types.Basic)
	return !types.Identical(of, types.Universe.Lookup("error").Type()) && (!ok || b.Info()&types.IsBoolean == 0)
}

// of returns the source of the value of e, or nil.
func (t *tracer) of(f flow, e ast.Expr) *source {
	e = ast.Unparen(e)
	if tv := t.TypesInfo.Types[e]; tv.Type != nil && !t.carries(tv.Type) {
		return nil
	}
	switch e := e.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr, *ast.SliceExpr, *ast.StarExpr:
		return t.held(f, e)
	case *ast.CallExpr:
		return t.ofCall(f, e)
	case *ast.CompositeLit:
		return t.ofAny(f, e.Elts)
	case *ast.KeyValueExpr:
		return t.of(f, e.Value)
	case *ast.UnaryExpr:
		return t.of(f, e.X)
	case *ast.BinaryExpr:
		return t.ofAny(f, []ast.Expr{e.X, e.Y})
	}
	return nil
}

// held returns the source of the value of a variable, or nil.
func (t *tracer) held(f flow, e ast.Expr) *source {
	v, field := t.placeOf(e)
	switch {
	case v == nil: // a part of another expression, such as the field of a result
		switch e := e.(type) {
		case *ast.SelectorExpr:
			return t.of(f, e.X)
		case *ast.IndexExpr:
			return t.of(f, e.X)
		case *ast.SliceExpr:
			return t.of(f, e.X)
		}
		return nil
	case field != "":
		if s := f[place{v, ""}]; s != nil {
			return s
		}
		return f[place{v, field}]
	}
	for p, s := range f {
		if p.v == v {
			return s
		}
	}
	return nil
}

func (t *tracer) ofAny(f flow, all []ast.Expr) *source {
	for _, e := range all {
		if s := t.of(f, e); s != nil {
			return s
		}
	}
	return nil
}

// ofCall returns the source of the result of a call, or nil.
func (t *tracer) ofCall(f flow, call *ast.CallExpr) *source {
	if name := t.sourceName(call); name != "" {
		short := name[strings.LastIndex(name, "/")+1:]
		return &source{call, short, !strings.HasPrefix(name, "time.")}
	}
	if fn := t.body(call.Fun); fn != nil {
		if s := t.resultOf(fn); s != nil {
			return &source{call, s.name, s.random}
		}
		return nil
	}
	if t.TypesInfo.Types[call.Fun].IsType() {
		return t.ofAny(f, call.Args)
	}
	if name, ok := t.builtin(call); ok && (name == "append" || name == "min" || name == "max") {
		return t.ofAny(f, call.Args)
	}
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && t.TypesInfo.Selections[sel] != nil {
		if s := t.of(f, sel.X); s != nil {
			return s
		}
	}
	if fn := t.callee(call); fn != nil && fn.Pkg() != nil {
		if path := fn.Pkg().Path(); passing[path] || ids.MatchString(path) {
			return t.ofAny(f, call.Args)
		}
	}
	return nil
}

// resultOf returns the source of a result of fn, or nil.
func (t *tracer) resultOf(fn ast.Node) *source {
	if s, known := t.results[fn]; known {
		return s
	}
	t.results[fn] = nil // for a function that calls itself
	f := t.flowOf(fn)
	var found *source
	inside(fn, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && found == nil {
			found = t.ofAny(f, r.Results)
		}
		_, other := n.(*ast.FuncLit)
		return !other
	})
	t.results[fn] = found
	return found
}

// passing are packages of functions that return their arguments in another form.
var passing = map[string]bool{
	"fmt": true, "strconv": true, "strings": true, "time": true, "encoding/hex": true, "encoding/base64": true,
	"encoding/json": true, "math": true,
}

// ids matches packages of random ids.
var ids = regexp.MustCompile(`^(github\.com/(google/uuid|gofrs/uuid|satori/go\.uuid|hashicorp/go-uuid|oklog/ulid|rs/xid` +
	`|segmentio/ksuid|lithammer/shortuuid|ThreeDotsLabs/watermill))(/v\d+)?$`)

// newID matches functions that return another id each time.
var newID = regexp.MustCompile(`^(New(|String|Random|DCE.*|UUID|ULID|ShortUUID|V[12467]|WithTime)|Make|MustNew|GenerateUUID)$`)

// sourceName returns the path and name of a called function that returns another value each time, or "".
func (t *tracer) sourceName(call *ast.CallExpr) string {
	fn := t.callee(call)
	if fn == nil || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return ""
	}
	path, name := fn.Pkg().Path(), fn.Name()
	found := false
	switch path {
	case "time":
		found = name == "Now" || name == "Since" || name == "Until"
	case "math/rand", "math/rand/v2":
		path, found = "math/rand", !strings.HasPrefix(name, "New") && name != "Seed" && name != "Shuffle"
	case "crypto/rand":
		found = true
	default:
		found = ids.MatchString(path) && newID.MatchString(name)
	}
	if !found {
		return ""
	}
	return path + "." + name
}
