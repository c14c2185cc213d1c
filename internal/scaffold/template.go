package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed template/*.go template/*/*.go template/*/*/*.go template/*/schema/*.sql
//go:embed template/Makefile template/Dockerfile template/README.md template/dockerignore template/gitignore
//go:embed template/ci.yml template/example.yaml template/example.service
var template embed.FS

// Names in the template.
const (
	program  = "example"
	emitting = "signup"
	reacting = "welcome"
	imports  = "github.com/troupebus/troupe/internal/scaffold/template/"
)

// Defaults are the modules of a program for which none are named.
var Defaults = []string{emitting, reacting}

// moved are the files with another path in a program: tools look at names with a dot in front.
var moved = map[string]string{
	"dockerignore": ".dockerignore", "gitignore": ".gitignore", "ci.yml": ".github/workflows/ci.yml",
}

// render returns the files of the program of o, but for go.mod and go.sum, by their paths.
func render(o Options) (map[string][]byte, error) {
	files := map[string][]byte{
		"testdata/a-request.mmd": []byte(picture(o.Modules)), "testdata/contract.json": contract(o.Modules),
	}
	err := fs.WalkDir(template, "template", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := template.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "template/")
		if to, ok := moved[name]; ok {
			name = to
		}
		for i := range o.turns(strings.HasPrefix(name, reacting+"/")) {
			to := o.rename(name, i)
			if files[to], err = o.file(to, string(text), i); err != nil {
				return fmt.Errorf("scaffold: write %s: %w", to, err)
			}
		}
		return nil
	})
	return files, err
}

// turns yields the index of the module for "welcome" in a file: the first reacting module, or with each, all of them.
func (o Options) turns(each bool) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if !each {
			yield(1)
			return
		}
		for i := 1; i < len(o.Modules); i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// file returns a file of the template for o, with module i for "welcome".
func (o Options) file(name, text string, i int) ([]byte, error) {
	text, err := o.expand(text, i)
	if err != nil {
		return nil, err
	}
	if path.Ext(name) != ".go" {
		return []byte(text), nil
	}
	text = noFields.ReplaceAllString(text, "struct{}")
	return format.Source([]byte(text)) // names of another length are aligned differently, and sorted differently
}

// noFields matches a struct without fields.
var noFields = regexp.MustCompile(`struct \{\s*\}`)

var directive = regexp.MustCompile(`^\s*(?://|#)new:(each|several|alone|end)\b ?(.*)$`)

// expand follows the directives in text, and puts in the names of o, with module i for "welcome".
func (o Options) expand(text string, i int) (string, error) {
	var out strings.Builder
	rest, err := o.block(&out, slices.Collect(strings.Lines(text)), i, true)
	if err == nil && len(rest) > 0 {
		err = errors.New("there is a new:end without a beginning")
	}
	return out.String(), err
}

// block writes lines up to the end of a block, if they are wanted, and returns the lines after the block's end.
func (o Options) block(out *strings.Builder, lines []string, i int, wanted bool) (rest []string, err error) {
	for len(lines) > 0 {
		line := lines[0]
		lines = lines[1:]
		m := directive.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil && wanted:
			out.WriteString(strings.ReplaceAll(o.rename(line, i), "PORT", strconv.Itoa(8080+i)))
		case m == nil:
		case m[1] == "end":
			return append([]string{line}, lines...), nil
		case m[1] == "alone":
			if wanted && len(o.Modules) == 1 {
				out.WriteString(o.rename(m[2], i) + "\n")
			}
		default:
			after, err := o.turn(out, lines, i, m[1], wanted)
			if err != nil {
				return nil, err
			}
			lines = after
		}
	}
	return nil, nil
}

// turn writes the block that begins lines as often as the program needs, and returns the lines after the block.
func (o Options) turn(
	out *strings.Builder, lines []string, i int, kind string, wanted bool,
) (rest []string, err error) {
	rest, err = o.block(nil, lines, i, false)
	if err == nil && len(rest) == 0 {
		err = fmt.Errorf("a block new:%s has no end", kind)
	}
	if err != nil || !wanted || len(o.Modules) == 1 {
		return rest[min(1, len(rest)):], err
	}
	if kind == "several" {
		_, err = o.block(out, lines, i, true)
		return rest[1:], err
	}
	for i := range o.turns(true) {
		if _, err := o.block(out, lines, i, true); err != nil {
			return nil, err
		}
	}
	return rest[1:], nil
}

// names matches the names of the template, and identifiers with such a name in front.
var names = regexp.MustCompile(`\b(example|EXAMPLE|signup|welcome)(events|[A-Z]\w*|_\w*)?\b`)

// rename puts the names of o into text, with module i for "welcome".
func (o Options) rename(text string, i int) string {
	text = strings.ReplaceAll(text, imports, o.ModulePath+"/")
	return names.ReplaceAllStringFunc(text, func(found string) string {
		m := names.FindStringSubmatch(found)
		switch m[1] {
		case program:
			return o.Name + m[2]
		case emitting:
			return o.Modules[0] + m[2]
		case reacting:
			return o.Modules[min(i, len(o.Modules)-1)] + m[2]
		}
		return strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_")) + m[2]
	})
}
