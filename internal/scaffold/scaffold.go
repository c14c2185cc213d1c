package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// Options say which program is written. Name is required.
type Options struct {
	// Name is the name of the program, and of the new folder.
	Name string
	// Modules are the names of the modules: the first accepts requests, and every other reacts to the first. Defaults
	// to Defaults.
	Modules []string
	// ModulePath is the path in go.mod. Defaults to Name.
	ModulePath string
	// Replace is the path of a checkout of troupe for go.mod. Defaults to the version of troupe in this binary.
	Replace string
}

// withDefaults returns o with the defaults filled in.
func (o Options) withDefaults() Options {
	if len(o.Modules) == 0 {
		o.Modules = Defaults
	}
	if o.ModulePath == "" {
		o.ModulePath = o.Name
	}
	return o
}

// Write writes the program into a new folder below parent, and returns the sorted paths of the files.
// Names that Validate refuses are an error, and so is a folder with files: nothing is written then.
func Write(parent string, o Options) (files []string, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	dir := filepath.Join(parent, o.Name)
	if err := vacant(dir); err != nil {
		return nil, err
	}
	texts, err := render(o)
	if err != nil {
		return nil, err
	}
	if err := o.addModule(texts); err != nil {
		return nil, err
	}
	files = slices.Sorted(maps.Keys(texts))
	for _, name := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, incomplete(dir, err)
		}
		if err := os.WriteFile(path, texts[name], 0o644); err != nil {
			return nil, incomplete(dir, err)
		}
	}
	return files, nil
}

// vacant returns an error for a path where something is, but for an empty folder.
func vacant(dir string) error {
	found, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot write into %s: %w; choose another name, or remove what is there", dir, err)
	case len(found) > 0:
		return fmt.Errorf("folder %s is not empty: choose another name, or remove the folder", dir)
	}
	return nil
}

func incomplete(dir string, err error) error {
	return fmt.Errorf("%w; the program in %s is not complete: remove the folder, and run the command again", err, dir)
}

// addModule adds go.mod, and go.sum where the checkout of troupe has the sums.
func (o Options) addModule(files map[string][]byte) error {
	head := "module " + o.ModulePath + "\n\ngo " + goVersion + "\n\n"
	if o.Replace == "" {
		version, err := published()
		if err != nil {
			return err
		}
		files["go.mod"] = []byte(head + "require " + troupe + " " + version + "\n")
		return nil
	}
	checkout, err := filepath.Abs(o.Replace)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+troupe+"\n") {
		return fmt.Errorf("%s is no checkout of %s: name with --replace the folder that has its go.mod", checkout, troupe)
	}
	sum, err := os.ReadFile(filepath.Join(checkout, "go.sum"))
	if err != nil {
		return fmt.Errorf("read the sums of the checkout: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%srequire %s v0.0.0\n\n", head, troupe)
	b.WriteString("// For development on this machine: CI and images want a version of troupe instead.\n")
	fmt.Fprintf(&b, "replace %s => %s\n\n", troupe, quoted(checkout))
	fmt.Fprintf(&b, "// The dependencies of %s. go mod tidy removes those without use here.\nrequire (\n", troupe)
	for _, r := range requirements(string(mod)) {
		fmt.Fprintf(&b, "\t%s // indirect\n", r)
	}
	b.WriteString(")\n")
	files["go.mod"], files["go.sum"] = []byte(b.String()), sum
	return nil
}

const (
	troupe    = "github.com/troupebus/troupe"
	goVersion = "1.26.0" // as in go.mod of troupe
)

// published returns the version of troupe in this binary, if the go command can download the version.
func published() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == troupe && strings.HasPrefix(m.Version, "v") && !strings.Contains(m.Version, "+") {
				return m.Version, nil
			}
		}
	}
	return "", fmt.Errorf("this binary was built from a checkout, and its version cannot be downloaded: "+
		"name the checkout with --replace, or run go install %s/cmd/troupe@latest", troupe)
}

// requirements returns the lines of the require blocks of a go.mod, without comments.
func requirements(mod string) (lines []string) {
	block := false
	for line := range strings.Lines(mod) {
		line, _, _ = strings.Cut(line, "//")
		switch line = strings.TrimSpace(line); {
		case line == "require (":
			block = true
		case line == ")":
			block = false
		case block && line != "":
			lines = append(lines, line)
		case strings.HasPrefix(line, "require "):
			lines = append(lines, strings.TrimPrefix(line, "require "))
		}
	}
	return lines
}

// quoted returns a path as go.mod has it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t\"'`()[]{},") {
		return strconv.Quote(path)
	}
	return path
}
