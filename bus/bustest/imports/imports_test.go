package imports

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mustWrite makes a program of the files.
func mustWrite(tb testing.TB, files map[string]string) (root string) {
	tb.Helper()
	root = tb.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

func TestCheck(t *testing.T) {
	t.Parallel()
	right := map[string]string{
		"go.mod":                            "module example.com/clinic\n\ngo 1.26\n",
		"main.go":                           "package main\n\nimport _ \"example.com/clinic/desk\"\n",
		"desk/desk.go":                      "package desk\n\nimport (\n\t_ \"example.com/clinic/desk/deskevents\"\n\t_ \"example.com/clinic/desk/rows\"\n\t_ \"example.com/clinic/letters/lettersevents\"\n\t_ \"github.com/troupebus/troupe/bus\"\n)\n",
		"desk/rows/rows.go":                 "package rows\n",
		"desk/deskevents/events.go":         "package deskevents\n\nimport _ \"time\"\n",
		"desk/desk_test.go":                 "package desk\n\nimport _ \"example.com/clinic/letters\"\n",
		"letters/letters.go":                "package letters\n\nimport _ \"example.com/clinic/desk/deskevents\"\n",
		"letters/lettersevents/events.go":   "package lettersevents\n",
		"letters/testdata/broken/broken.go": "not Go",
	}
	for name, c := range map[string]struct {
		file, text string
		want       string
	}{
		"right":                       {"extra.go", "package main\n", ""},
		"another module":              {"letters/more.go", "package letters\n\nimport _ \"example.com/clinic/desk\"\n", "letters/more.go imports example.com/clinic/desk: module letters may know only"},
		"its tables":                  {"letters/more.go", "package letters\n\nimport _ \"example.com/clinic/desk/rows\"\n", "letters/more.go imports example.com/clinic/desk/rows"},
		"a contract imports its own":  {"desk/deskevents/more.go", "package deskevents\n\nimport _ \"example.com/clinic/desk\"\n", "a contract imports the standard library only"},
		"a contract imports another":  {"desk/deskevents/more.go", "package deskevents\n\nimport _ \"example.com/clinic/letters/lettersevents\"\n", "a contract imports the standard library only"},
		"a contract imports the bus":  {"desk/deskevents/more.go", "package deskevents\n\nimport _ \"github.com/troupebus/troupe/bus\"\n", "move the code that needs the import into desk"},
		"a name that begins the same": {"desk/more.go", "package desk\n\nimport _ \"example.com/clinic/lettershop\"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := mustWrite(t, right)
			if err := os.WriteFile(filepath.Join(root, c.file), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			found, err := check(root, ByName, []string{"desk", "letters"})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

// A check that looks at nothing is an error.
func TestNothingToCheck(t *testing.T) {
	t.Parallel()
	root := mustWrite(t, map[string]string{"go.mod": "module m\n", "a/a_test.go": "package a\n"})
	for name, c := range map[string]struct {
		root    string
		modules []string
		want    string
	}{
		"no modules":      {root, nil, "no module is named"},
		"no such module":  {root, []string{"b"}, "no such file"},
		"an empty module": {root, []string{"a"}, "folder a has no Go file"},
		"no go.mod":       {t.TempDir(), []string{"a"}, "no go.mod in"},
	} {
		if _, err := check(c.root, ByName, c.modules); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestBelowGoMod: the modules may be in a folder below that of go.mod.
func TestBelowGoMod(t *testing.T) {
	t.Parallel()
	root := mustWrite(t, map[string]string{
		"go.mod": "module example.com/all\n", "app/a/a.go": "package a\n\nimport _ \"example.com/all/app/b\"\n", "app/b/b.go": "package b\n",
	})
	found, err := check(filepath.Join(root, "app"), ByName, []string{"a", "b"})
	if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], "a/a.go imports example.com/all/app/b") {
		t.Errorf("found %q, %v", found, err)
	}
}

// TestCheckLayout has the contracts of all modules in one folder, and module a with a folder of ByName that is private.
func TestCheckLayout(t *testing.T) {
	t.Parallel()
	root := mustWrite(t, map[string]string{
		"go.mod":            "module m\n",
		"a/a.go":            "package a\n\nimport _ \"m/contracts/b\"\n",
		"a/aevents/rows.go": "package aevents\n\nimport _ \"m/a\"\n",
		"b/b.go":            "package b\n\nimport (\n\t_ \"m/contracts/a\"\n\t_ \"m/a/aevents\"\n)\n",
		"contracts/a/a.go":  "package a\n\nimport _ \"m/a\"\n",
		"contracts/b/b.go":  "package b\n",
	})
	layout := func(module string) string { return "contracts/" + module }
	found, err := check(root, layout, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !strings.HasPrefix(found[0], "contracts/a/a.go imports m/a: a contract imports") ||
		!strings.HasPrefix(found[1], "b/b.go imports m/a/aevents: module b may know only") {
		t.Errorf("found %q", found)
	}
	if _, err := check(root, func(string) string { return "missing" }, []string{"a"}); err == nil {
		t.Error("no error for a layout that names no folder")
	}
}
