// Package site finds the line of a program that called a package. The package imports the standard library only.
package site

import (
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Outside returns the file and line of the nearest caller outside of the package pkg, such as "handlers/order.go:12".
func Outside(pkg string) string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, pkg+".") {
			dir, file := path.Split(filepath.ToSlash(f.File))
			return fmt.Sprintf("%s:%d", path.Join(path.Base(dir), file), f.Line)
		}
		if !more {
			return ""
		}
	}
}
