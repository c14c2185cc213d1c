// Package arch is the architecture test. It checks the rules of the tree: allowed imports, the length of files and
// functions, documentation of exported names, and the names of tables. The test finds the modules in the tree
// (domain/*), so the rules also apply to a module that is added later.
package arch

import (
	"fmt"
	"slices"
	"strings"
)

const (
	root      = "github.com/troupebus/troupe"
	watermill = "github.com/ThreeDotsLabs/watermill"
	sqlAddOn  = "github.com/ThreeDotsLabs/watermill-sql"
)

// drivers are the modules that each transport may import beside Watermill. A transport without an entry may import
// none, so a new transport starts with a line here.
var drivers = map[string][]string{
	"sqlite":   {"github.com/mattn/go-sqlite3", "github.com/gofrs/flock", sqlAddOn, "C"}, // C for a setting without a function in the driver
	"postgres": {"github.com/jackc/pgx", sqlAddOn},
	"kafka":    {"github.com/ThreeDotsLabs/watermill-kafka", "github.com/IBM/sarama", "github.com/xdg-go/scram", "github.com/klauspost/compress", "github.com/pierrec/lz4"},
}

// file is a Go file that is not a test: its path from the root of the tree, with slashes, and its imports.
type file struct {
	path    string
	imports []string
}

// violation describes a broken rule: the place, the rule, and the remedy.
type violation struct{ where, rule, remedy string }

func (v violation) String() string {
	return fmt.Sprintf("%s\n\trule: %s\n\tdo:   %s", v.where, v.rule, v.remedy)
}

// layer is the import rule of a file.
type layer struct {
	rule   string
	may    func(imported string) bool
	remedy string
}

// checkImports checks every file against its layer. It reads only its argument.
func checkImports(files []file) []violation {
	var found []violation
	for _, f := range files {
		l, ok := layerOf(f.path)
		if !ok {
			found = append(found, violation{f.path, "every Go file lies in a layer with a rule",
				"move it to bus, handlers, domain/<module>, transports, cmd or internal"})
			continue
		}
		for _, imported := range f.imports {
			if !l.may(imported) {
				found = append(found, violation{f.path + " imports " + imported, l.rule, l.remedy})
			}
		}
	}
	return found
}

// layerOf returns the rule for the file at path. It reports false if no rule covers the path.
func layerOf(path string) (layer, bool) {
	parts := strings.Split(path, "/")
	dirs := parts[:len(parts)-1]
	switch {
	case path == "troupe.go":
		return rootLayer(), true
	case len(dirs) == 0:
		return layer{}, false
	case dirs[0] == "domain" && len(dirs) > 1:
		return domainLayer(dirs), true
	case dirs[0] == "handlers" && len(dirs) == 1:
		return handlersLayer(strings.TrimSuffix(parts[1], ".go")), true
	case dirs[0] == "bus":
		return busLayer(dirs), true
	case dirs[0] == "transports":
		return transportsLayer(path, dirs), true
	case dirs[0] == "internal" && len(dirs) > 1 && slices.Contains(leaves, dirs[1]):
		return layer{
			rule:   "internal/" + strings.Join(leaves, ", internal/") + " import the standard library only",
			may:    isStd,
			remedy: "the library uses these packages: move code with other imports elsewhere",
		}, true
	case dirs[0] == "internal" && len(dirs) > 1 && slices.Contains(engine, dirs[1]):
		return engineLayer(), true
	case dirs[0] == "cmd" && len(dirs) > 1 && dirs[1] == "troupe":
		return exampleLayer(), true
	case dirs[0] == "internal" || dirs[0] == "cmd":
		return layer{
			rule:   "no package imports cmd",
			may:    func(i string) bool { return !under(i, root+"/cmd") },
			remedy: "move shared code below internal",
		}, true
	}
	return layer{}, false
}

// engine are the packages below internal that run any program. The root package uses them.
var engine = []string{"cli", "config", "front"}

func rootLayer() layer {
	return layer{
		rule: "the root package imports the standard library, bus, transports and internal/" + strings.Join(engine, ", internal/"),
		may: func(i string) bool {
			return isStd(i) || isBus(i) || under(i, root+"/transports") ||
				slices.ContainsFunc(engine, func(e string) bool { return under(i, root+"/internal/"+e) })
		},
		remedy: "the root package runs any program: let the program pass in its own parts",
	}
}

func engineLayer() layer {
	shop := []string{root + "/handlers", root + "/domain", root + "/cmd", root + "/internal/shop"}
	return layer{
		rule:   "the packages that run any program (internal/" + strings.Join(engine, ", internal/") + ") import no package of the shop",
		may:    func(i string) bool { return !slices.ContainsFunc(shop, func(s string) bool { return under(i, s) }) },
		remedy: "add a field to troupe.App, so that a program can pass it in",
	}
}

func exampleLayer() layer {
	return layer{
		rule: "cmd/troupe imports, of internal, only the shop, the benchmark and the scaffold of new programs",
		may: func(i string) bool {
			own := []string{root + "/internal/shop", root + "/internal/bench", root + "/internal/scaffold"}
			return !under(i, root+"/cmd") && (!under(i, root+"/internal") || slices.ContainsFunc(own, func(o string) bool { return under(i, o) }))
		},
		remedy: "cmd/troupe is a program as any team writes one: use package troupe, or extend it",
	}
}

func domainLayer(dirs []string) layer {
	module := dirs[1]
	if len(dirs) > 2 && dirs[2] == module+"events" {
		return layer{
			rule:   "a contract imports the standard library only",
			may:    isStd,
			remedy: "keep event types plain: move code with other imports into domain/" + module,
		}
	}
	return layer{
		rule:   "a domain module imports the standard library, its own packages and contracts (domain/X/Xevents)",
		may:    func(i string) bool { return isStd(i) || isContract(i) || under(i, root+"/domain/"+module) },
		remedy: "react to the other module's events through its contract; leave bus to handlers/" + module + ".go and drivers to transports",
	}
}

func handlersLayer(module string) layer {
	return layer{
		rule: "handlers/X.go imports the standard library, bus, domain/X and contracts (domain/Y/Yevents)",
		may: func(i string) bool {
			return isStd(i) || isContract(i) || i == root+"/bus" || under(i, root+"/domain/"+module)
		},
		remedy: "react to the other module's events through its contract; let cmd/troupe pass in the other parts",
	}
}

// cronParser parses the specifications of schedules.
const cronParser = "github.com/robfig/cron/v3"

// formats are the packages that bus/internal/payload joins to the payload of an event.
var formats = []string{root + "/bus/codec", root + "/bus/encrypt", root + "/bus/wire"}

func busLayer(dirs []string) layer {
	l := layer{
		rule:   "bus imports the standard library, Watermill's core and packages below bus, but not its test kit",
		remedy: "put code about a transport into transports, and code about the shop into handlers or internal",
	}
	own := func(i string) bool {
		return under(i, root+"/bus") && !under(i, root+"/bus/bustest") && !under(i, root+"/bus/vet")
	}
	switch {
	case len(dirs) > 1 && dirs[1] == "vet":
		return layer{
			rule:   "bus/vet imports the standard library and golang.org/x/tools/go",
			may:    func(i string) bool { return isStd(i) || under(i, "golang.org/x/tools/go") },
			remedy: "bus/vet reads the source of programs, and runs no code of the bus",
		}
	case len(dirs) > 1 && dirs[1] == "batch":
		return layer{
			rule:   "bus/batch imports the standard library and bus",
			may:    func(i string) bool { return isStd(i) || i == root+"/bus" },
			remedy: "bus/batch is a handler function like those of users",
		}
	case len(dirs) > 1 && dirs[1] == "bustest":
		l.rule = "bus/bustest imports the standard library, Watermill's core and bus"
		own = func(i string) bool { return under(i, root+"/bus") }
	case len(dirs) > 1:
		self := root + "/" + strings.Join(dirs[:2], "/")
		l.rule = "a package below bus imports the standard library, Watermill's core and bus/journal"
		l.remedy = "bus uses this package: let bus pass in the other parts"
		own = func(i string) bool { return under(i, self) || i == root+"/bus/journal" && self != root+"/bus/journal" }
	}
	isRoom := func(name string) bool { return len(dirs) > 2 && dirs[1] == "internal" && dirs[2] == name }
	l.may = func(i string) bool {
		return isStd(i) || isLeaf(i) || under(i, watermill) || own(i) || isRoom("schedule") && i == cronParser ||
			isRoom("payload") && slices.Contains(formats, i) || isRoom("react") && i == root+"/bus/encrypt"
	}
	return l
}

func transportsLayer(path string, dirs []string) layer {
	if len(dirs) == 1 {
		chooses := path == "transports/transports.go"
		return layer{
			rule: "transports imports the standard library, bus and Watermill's core, and transports/transports.go alone each transport",
			may: func(i string) bool {
				return isStd(i) || under(i, watermill) || isBus(i) || chooses && under(i, root+"/transports")
			},
			remedy: "make the choice between transports in transports/transports.go; leave drivers to transports/<name>",
		}
	}
	if len(dirs) > 3 && dirs[1] == "sqlite" && dirs[2] == "internal" {
		return roomLayer(dirs[3])
	}
	allowed := append([]string{watermill, root + "/transports/" + dirs[1]}, drivers[dirs[1]]...)
	return layer{
		rule: "transports/Y imports the standard library, bus, Watermill and its own driver",
		may: func(i string) bool {
			return isStd(i) || isLeaf(i) || isBus(i) || slices.ContainsFunc(allowed, func(a string) bool { return under(i, a) })
		},
		remedy: "a transport carries any event and knows no module; add a driver to drivers in internal/arch",
	}
}

// under reports whether an import path is prefix or lies below prefix.
// rooms are the packages below transports/sqlite/internal, with those that each may import. A room that is not named
// here may import none.
var rooms = map[string][]string{
	"row": {"needs"}, "schema": {"row"}, "count": {"row"}, "still": {"needs"},
	"crossing": {"row"}, "tail": {"row", "wake"}, "typechange": {"row"},
	"file":   {"needs", "row", "schema", "still", "goroutine"},
	"check":  {"row", "count"},
	"owner":  {"row", "schema"},
	"reader": {"row", "schema", "count", "wake", "check", "file", "still", "owner"},
	"acts":   {"row", "file", "reader"},
	"halves": {"row", "file"},

	"registry": {"row", "owner", "typechange", "wake"},
	"records":  {"row", "reader"},

	"workconn": {"file", "goroutine", "schema"},
	"commit":   {"workconn", "goroutine", "file", "row", "wake"},
	"observer": {"commit", "reader", "registry", "row", "wake"},
	"wal":      {"commit", "file", "row", "wake"},
}

func roomLayer(room string) layer {
	const sqlite = root + "/transports/sqlite"
	return layer{
		rule: "a room of the journal, transports/sqlite/internal/" + room + ", imports of transports/sqlite only dispatch and " +
			"the rooms below it (rooms in internal/arch)",
		may: func(i string) bool {
			below := slices.ContainsFunc(rooms[room], func(r string) bool { return under(i, sqlite+"/internal/"+r) })
			driver := slices.ContainsFunc(drivers["sqlite"], func(d string) bool { return under(i, d) })
			decodes := room == "observer" && i == root+"/bus/wire" // messages of deployables
			return below || driver || decodes || i == sqlite+"/dispatch" || i == root+"/bus/journal" || isStd(i) || isLeaf(i)
		},
		remedy: "hand in what the room needs from package sqlite, or move it to a room below",
	}
}

func under(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// isBus reports whether an import is bus or below bus, without the test kit, which no transport may import.
func isBus(imported string) bool {
	return under(imported, root+"/bus") && !under(imported, root+"/bus/bustest")
}

func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

// leaves are the packages below internal that the library may import. They import the standard library only.
var leaves = []string{"oncelog", "pause"}

func isLeaf(imported string) bool {
	return slices.ContainsFunc(leaves, func(l string) bool { return imported == root+"/internal/"+l })
}

func isContract(imported string) bool {
	path, ok := strings.CutPrefix(imported, root+"/domain/")
	parts := strings.Split(path, "/")
	return ok && len(parts) > 1 && parts[1] == parts[0]+"events"
}
