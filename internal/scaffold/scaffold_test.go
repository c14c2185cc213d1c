//go:build unix

package scaffold

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Programs with one module, and with modules in another order than the alphabet's, are as green as the usual program.
func TestOtherNumbersOfModules(t *testing.T) {
	t.Parallel()
	for _, modules := range []string{"desk", "zulu mike alpha"} {
		t.Run(modules, func(t *testing.T) {
			t.Parallel()
			at := place{tb: t, dir: t.TempDir()}
			files, err := Write(at.dir, Options{
				Name: "my-program", Modules: strings.Fields(modules), ModulePath: "git.host.test/team/my", Replace: checkout,
			})
			if err != nil {
				t.Fatal(err)
			}
			at.dir = filepath.Join(at.dir, "my-program")
			for _, name := range files {
				text, err := os.ReadFile(filepath.Join(at.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				for _, left := range []string{"welcome", "signup", "example", "EXAMPLE", "new:", "PORT", "scaffold"} {
					if strings.Contains(string(text), left) {
						t.Errorf("%s still says %q", name, left)
					}
				}
			}
			at.run(0, at.tool("go", "vet", "./..."))
			at.run(0, at.tool("go", "test", "./..."))
		})
	}
}

// With the names of the template, the files are those of the template.
func TestDefaults(t *testing.T) {
	t.Parallel()
	o := Options{Name: "example", ModulePath: strings.TrimSuffix(imports, "/")}.withDefaults()
	files, err := render(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"testdata/a-request.mmd", "testdata/contract.json", "welcome/welcome.go", "welcome/schema/0001_init.sql",
	} {
		if want, err := os.ReadFile(filepath.Join("template", name)); err != nil || string(want) != string(files[name]) {
			t.Errorf("%s is not what the template has: %v\n%s", name, err, files[name])
		}
	}
	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	image := "FROM golang:" + goVersion[:strings.LastIndex(goVersion, ".")] + " "
	if err != nil || !strings.Contains(string(mod), "\ngo "+goVersion+"\n") ||
		!strings.Contains(string(files["Dockerfile"]), image) {
		t.Errorf("troupe, new programs and the image want other versions of Go: %v", err)
	}
	if n := strings.Count(string(files["main.go"]), "\n"); n > 36 {
		t.Errorf("main.go has %d lines", n)
	}
	if n := strings.Count(string(files["README.md"]), "\n"); n > 40 {
		t.Errorf("README.md has %d lines", n)
	}
}

// The template imports public packages only. The engine imports neither the shop nor the commands.
func TestImports(t *testing.T) {
	t.Parallel()
	found := map[string][]string{} // imports of troupe by package
	const format = `{{range .Imports}}{{$.ImportPath}} {{.}}{{"\n"}}{{end}}` +
		`{{if ne .Name "scaffold"}}{{range .TestImports}}{{$.ImportPath}} {{.}}{{"\n"}}{{end}}{{end}}`
	list := place{tb: t, dir: "."}.tool("go", "list", "-f", format, "./...")
	out, _ := place{tb: t}.run(0, list)
	for line := range strings.Lines(out) {
		path, imported, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(imported, troupe) {
			found[path] = append(found[path], imported)
		}
	}
	if own := found[troupe+"/internal/scaffold"]; !slices.Equal(own, []string{troupe + "/internal/config"}) {
		t.Errorf("scaffold imports %v", own)
	}
	delete(found, troupe+"/internal/scaffold")
	if len(found) != 3 {
		t.Errorf("%d packages of the template import troupe, want 3: %v", len(found), found)
	}
	for path, imported := range found {
		for _, i := range imported {
			if strings.Contains(i, "/internal/") && !strings.HasPrefix(i, imports) {
				t.Errorf("%s imports %s, which programs cannot", path, i)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    Options
		want string // "" where nothing is refused
	}{
		{"defaults", Options{Name: "clinic"}, ""},
		{"dashes", Options{Name: "my-clinic", Modules: []string{"desk", "b2"}, ModulePath: "git.host.test/a_b/C"}, ""},
		{"no name", Options{}, `program "": want a name`},
		{"capitals", Options{Name: "Clinic"}, `program "Clinic": want a name`},
		{"the plain binary", Options{Name: "troupe"}, "the plain binary has the name"},
		{"a path", Options{Name: "../clinic"}, "want a name"},
		{"a package of Go", Options{Name: "log"}, "--module-path"},
		{"a package of Go with another path", Options{Name: "log", ModulePath: "git.host.test/log"}, ""},
		{"below a package of Go", Options{Name: "clinic", ModulePath: "net/clinic"}, "standard library"},
		{"a bad path", Options{Name: "clinic", ModulePath: "a b"}, "as go.mod has it"},
		{"a path upwards", Options{Name: "clinic", ModulePath: "../x"}, "as go.mod has it"},
		{"troupe", Options{Name: "clinic", ModulePath: troupe}, "that is troupe itself"},
		{"a module with a dash", Options{Name: "clinic", Modules: []string{"front-desk"}}, "lower-case letters and digits"},
		{"a capital module", Options{Name: "clinic", Modules: []string{"Desk"}}, "lower-case letters and digits"},
		{"a keyword", Options{Name: "clinic", Modules: []string{"func"}}, "Go uses the word itself"},
		{"a type", Options{Name: "clinic", Modules: []string{"desk", "string"}}, "Go uses the word itself"},
		{"a package in use", Options{Name: "clinic", Modules: []string{"http"}}, "uses the word for something else"},
		{"a function in use", Options{Name: "clinic", Modules: []string{"wire"}}, "uses the word for something else"},
		{"the program", Options{Name: "clinic", Modules: []string{"clinic"}}, "the program has the name already"},
		{"twice", Options{Name: "clinic", Modules: []string{"desk", "desk"}}, "is named twice"},
		{"a contract", Options{Name: "clinic", Modules: []string{"desk", "deskevents"}}, "the contract of module desk"},
		{"all", Options{Name: "clinic", Modules: []string{"all"}}, "for all modules"},
		{"a route", Options{Name: "clinic", Modules: []string{"metrics"}}, "route"},
		{"tables of SQLite", Options{Name: "clinic", Modules: []string{"sqlite"}}, "SQLite"},
		{"the only module is welcome", Options{Name: "clinic", Modules: []string{"welcome"}}, ""},
		{"changed about", Options{Name: "example", Modules: []string{"welcome", "signup"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.o.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	all := Options{Name: "clinic", Modules: []string{"func", "http", "Desk"}}.Validate()
	if got := strings.Count(all.Error(), "\n"); got != 2 {
		t.Errorf("of three mistakes %d are told: %v", got+1, all)
	}
}

// A checkout may lie in a folder with a space in its name.
func TestReplaceWithSpace(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	at := place{tb: t, dir: t.TempDir()}
	link := filepath.Join(at.dir, "a checkout")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(at.dir, Options{Name: "clinic", Replace: link}); err != nil {
		t.Fatal(err)
	}
	at.dir = filepath.Join(at.dir, "clinic")
	if out, _ := at.run(0, at.tool("go", "list", "-m", "-f", "{{.Replace}}", troupe)); strings.TrimSpace(out) != link {
		t.Errorf("go.mod points to %s", out)
	}
}

// Names are replaced at once, and as whole identifiers.
func TestRename(t *testing.T) {
	t.Parallel()
	o := Options{Name: "welcome-all", Modules: []string{"welcome", "signup"}}
	const text = `EXAMPLE_HTTP example.db signupevents.Accepted signup_requests welcomeProvider welcomed resignup`
	const want = `WELCOME_ALL_HTTP welcome-all.db welcomeevents.Accepted welcome_requests signupProvider welcomed resignup`
	if got := o.rename(text, 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	at := place{tb: t, binary: MustTroupe(t), dir: t.TempDir()}
	at.says([]string{"troupe new clinic appointments billing reminders", "--module-path", "--replace", "The first MODULE"},
		"new", "--help")
	root, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(at.dir, "clinic"), 0o755); err != nil { // empty, which is fine
		t.Fatal(err)
	}
	var got struct {
		Folder      string
		Files, Next []string
	}
	out := at.says(nil, "new", "clinic", "--replace", root, "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Folder != "clinic" || !slices.Contains(got.Next, "make test") ||
		!slices.Contains(got.Files, "welcome/schema/0001_init.sql") {
		t.Errorf("new --json: %+v", got)
	}
	for _, name := range got.Files {
		if _, err := os.Stat(filepath.Join(at.dir, "clinic", name)); err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct {
		code int
		args string
		want string
	}{
		{2, "new", "troupe new NAME"},
		{2, "new Clinic", "lower-case letters"},
		{2, "new other func", "choose another name"},
		{2, "new other --nothing", "unknown flag"},
		{1, "new clinic --replace " + root, "folder clinic is not empty: choose another name, or remove the folder"},
		{1, "new other --replace " + at.dir, "name with --replace the folder that has its go.mod"},
	} {
		_, errs := at.run(tt.code, at.command(strings.Fields(tt.args)...))
		if !strings.Contains(errs, tt.want) {
			t.Errorf("troupe %s says %q, want %q", tt.args, errs, tt.want)
		}
	}
	if left, err := os.ReadDir(at.dir); err != nil || len(left) != 1 {
		t.Errorf("a refusal has left something: %v %v", left, err)
	}
}
