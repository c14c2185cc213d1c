package vet

import (
	"go/ast"
	"go/token"
	"go/types"
)

func state(c *code) {
	known := map[ast.Node]bool{}
	for _, e := range c.entries {
		if e.role != handler {
			continue
		}
		for _, fn := range c.reached(e.fn) {
			if !known[fn] {
				known[fn] = true
				inside(fn, func(n ast.Node) bool { c.checkWrite(n); return true })
			}
		}
	}
}

// checkWrite reports a statement that writes a package variable.
func (c *code) checkWrite(n ast.Node) {
	var written []ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			written = n.Lhs
		}
	case *ast.IncDecStmt:
		written = []ast.Expr{n.X}
	case *ast.CallExpr:
		if b, ok := c.builtin(n); ok && (b == "delete" || b == "clear") {
			written = n.Args[:1]
		}
	}
	for _, e := range written {
		if v, _ := c.placeOf(e); v != nil && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
			c.report(n, "a handler writes the package variable %s, which is lost when the process ends, and stays when the"+
				" transaction is rolled back: keep the state in a table of the module", v.Name())
		}
	}
}

// builtin returns the name of a called builtin function.
func (c *code) builtin(call *ast.CallExpr) (name string, ok bool) {
	id, _ := ast.Unparen(call.Fun).(*ast.Ident)
	if id == nil {
		return "", false
	}
	_, ok = c.TypesInfo.Uses[id].(*types.Builtin)
	return id.Name, ok
}

// placeOf returns the variable that e is a part of, and the first field, or nil.
func (c *code) placeOf(e ast.Expr) (v *types.Var, field string) {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			v, _ = c.TypesInfo.ObjectOf(x).(*types.Var)
			return v, field
		case *ast.SelectorExpr:
			if _, ok := c.TypesInfo.Selections[x]; !ok { // a variable of another package
				v, _ = c.TypesInfo.Uses[x.Sel].(*types.Var)
				return v, field
			}
			e, field = x.X, x.Sel.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil, ""
		}
	}
}

func rollback(c *code) {
	raw := map[types.Object]bool{} // variables that hold the transaction of the bus as another type
	each := func(visit func(ast.Node)) {
		for _, file := range c.Files {
			ast.Inspect(file, func(n ast.Node) bool { visit(n); return true })
		}
	}
	each(func(n ast.Node) {
		if s, ok := n.(*ast.AssignStmt); ok && len(s.Rhs) == 1 && c.unwraps(s.Rhs[0]) {
			if name, ok := s.Lhs[0].(*ast.Ident); ok {
				raw[c.TypesInfo.ObjectOf(name)] = true
			}
		}
	})
	each(func(n ast.Node) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Commit" && sel.Sel.Name != "Rollback" {
			return
		}
		id, _ := ast.Unparen(sel.X).(*ast.Ident)
		if c.unwraps(sel.X) || id != nil && raw[c.TypesInfo.Uses[id]] {
			c.report(sel, "%s ends the transaction of the bus: leave the end to the bus, which commits when the work returns"+
				" no error", sel.Sel.Name)
		}
	})
}

// unwraps reports whether e is the transaction of the bus, asserted to another type.
func (c *code) unwraps(e ast.Expr) bool {
	a, ok := ast.Unparen(e).(*ast.TypeAssertExpr)
	return ok && c.isSQL(c.TypesInfo.TypeOf(a.X))
}

// isSQL reports whether t is bus.SQL.
func (c *code) isSQL(t types.Type) bool { return isType(t, busPath, "SQL") }

func isType(t types.Type, path, name string) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == path && named.Obj().Name() == name
}

func rerun(c *code) {
	for _, e := range c.entries {
		if fn, ok := e.fn.(*ast.FuncLit); ok && (e.role == unit || e.role == transaction) {
			c.checkRerun(fn)
		}
	}
}

// place is a variable, or a field of a variable.
type place struct {
	v     *types.Var
	field string
}

// checkRerun reports variables outside of fn that fn adds to, and did not set before.
func (c *code) checkRerun(fn *ast.FuncLit) {
	set := map[place]bool{}
	inside(fn, func(n ast.Node) bool {
		s, ok := n.(*ast.AssignStmt)
		if !ok {
			return n == nil || !c.isEntry[n]
		}
		for i, left := range s.Lhs {
			v, field := c.placeOf(left)
			if v == nil || within(v.Pos(), fn) {
				continue
			}
			p := place{v, field}
			switch {
			case set[p] || set[place{v, ""}]:
			case c.adds(s, i, p):
				c.report(s, "the function may run twice for one call, and %s has the additions twice: set %s anew at the start of"+
					" the function, or return the value from bus.Do", v.Name(), v.Name())
			default:
				set[p] = true
			}
		}
		return true
	})
}

// adds reports whether s adds to its variable p with index i: x = append(x, y), or x += y.
func (c *code) adds(s *ast.AssignStmt, i int, p place) bool {
	if s.Tok == token.ADD_ASSIGN {
		return true
	}
	call, ok := ast.Unparen(s.Rhs[min(i, len(s.Rhs)-1)]).(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	name, builtin := c.builtin(call)
	_, sliced := ast.Unparen(call.Args[0]).(*ast.SliceExpr) // append(x[:0], y)
	v, field := c.placeOf(call.Args[0])
	return builtin && name == "append" && !sliced && p == place{v, field}
}
