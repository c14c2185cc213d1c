// Package arch is the architecture test. It holds the tree against the rules by which Troupe is laid out: who may
// import whom, how long a file and a function may be, what must be documented, and whose table a schema may create.
// Modules are read off the tree (domain/*), so that one added tomorrow is held to them without being named here.
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

// drivers are the modules that each transport may import beside Watermill: what speaks to the outside, and what guards
// it. A transport that is not named here may import none, so a new one starts with a line here.
var drivers = map[string][]string{
	"sqlite":   {"github.com/mattn/go-sqlite3", "github.com/gofrs/flock", sqlAddOn, "C"}, // C for a setting that the driver has no call for
	"postgres": {"github.com/jackc/pgx", sqlAddOn},
	"kafka":    {"github.com/ThreeDotsLabs/watermill-kafka", "github.com/IBM/sarama", "github.com/xdg-go/scram", "github.com/klauspost/compress", "github.com/pierrec/lz4"},
}

// file is one Go file that ships: its path from the root of the tree, with slashes, and the paths that it imports.
type file struct {
	path    string
	imports []string
}

// violation is one broken rule, in words that say where, which and what to do.
type violation struct{ where, rule, remedy string }

func (v violation) String() string {
	return fmt.Sprintf("%s\n\trule: %s\n\tdo:   %s", v.where, v.rule, v.remedy)
}

// layer is what holds for one file.
type layer struct {
	rule   string
	may    func(imported string) bool
	remedy string
}

// checkImports holds every file against its layer. It reads nothing but its argument.
func checkImports(files []file) []violation {
	var found []violation
	for _, f := range files {
		l, ok := layerOf(f.path)
		if !ok {
			found = append(found, violation{f.path, "every Go file lies in a layer that has a rule",
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

// layerOf finds the rule for a file by its path. It reports false for a place that no rule speaks of.
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
			remedy: "the library stands on it: move what needs the import elsewhere",
		}, true
	case dirs[0] == "internal" && len(dirs) > 1 && slices.Contains(engine, dirs[1]):
		return engineLayer(), true
	case dirs[0] == "cmd" && len(dirs) > 1 && dirs[1] == "troupe":
		return exampleLayer(), true
	case dirs[0] == "internal" || dirs[0] == "cmd":
		return layer{
			rule:   "nothing imports cmd",
			may:    func(i string) bool { return !under(i, root+"/cmd") },
			remedy: "move what both need below internal",
		}, true
	}
	return layer{}, false
}

// engine are the packages below internal that the root package stands on: what runs any program.
var engine = []string{"cli", "config", "front"}

func rootLayer() layer {
	return layer{
		rule: "the root package imports the standard library, bus, transports and internal/" + strings.Join(engine, ", internal/"),
		may: func(i string) bool {
			return isStd(i) || isBus(i) || under(i, root+"/transports") ||
				slices.ContainsFunc(engine, func(e string) bool { return under(i, root+"/internal/"+e) })
		},
		remedy: "it runs any program: have the program hand in what only it knows",
	}
}

func engineLayer() layer {
	shop := []string{root + "/handlers", root + "/domain", root + "/cmd", root + "/internal/shop"}
	return layer{
		rule:   "what runs any program (internal/" + strings.Join(engine, ", internal/") + ") imports nothing of the shop",
		may:    func(i string) bool { return !slices.ContainsFunc(shop, func(s string) bool { return under(i, s) }) },
		remedy: "add a field to troupe.App by which a program hands it in",
	}
}

func exampleLayer() layer {
	return layer{
		rule: "cmd/troupe imports, of internal, the shop, the benchmark and the scaffold of new programs only",
		may: func(i string) bool {
			own := []string{root + "/internal/shop", root + "/internal/bench", root + "/internal/scaffold"}
			return !under(i, root+"/cmd") && (!under(i, root+"/internal") || slices.ContainsFunc(own, func(o string) bool { return under(i, o) }))
		},
		remedy: "it is a program as any team writes one: use package troupe, or give that what is missing",
	}
}

func domainLayer(dirs []string) layer {
	module := dirs[1]
	if len(dirs) > 2 && dirs[2] == module+"events" {
		return layer{
			rule:   "a contract imports the standard library only",
			may:    isStd,
			remedy: "keep event types plain: move what needs the import into domain/" + module,
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
		remedy: "react to the other module's events through its contract; hand in what the reaction needs from cmd/troupe",
	}
}

func busLayer(dirs []string) layer {
	l := layer{
		rule:   "bus imports the standard library, Watermill's core and packages below bus, but not its test kit",
		remedy: "put what knows a transport into transports, what knows the shop into handlers or internal",
	}
	own := func(i string) bool { return under(i, root+"/bus") && !under(i, root+"/bus/bustest") }
	switch {
	case len(dirs) > 1 && dirs[1] == "bustest":
		l.rule = "bus/bustest imports the standard library, Watermill's core and bus"
		own = func(i string) bool { return under(i, root+"/bus") }
	case len(dirs) > 1:
		self := root + "/" + strings.Join(dirs[:2], "/")
		l.rule = "a package below bus imports the standard library, Watermill's core and bus/journal"
		l.remedy = "it is the seam that bus stands on: pass in what it needs"
		own = func(i string) bool { return under(i, self) || i == root+"/bus/journal" && self != root+"/bus/journal" }
	}
	l.may = func(i string) bool { return isStd(i) || isLeaf(i) || under(i, watermill) || own(i) }
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
	allowed := append([]string{watermill, root + "/transports/" + dirs[1]}, drivers[dirs[1]]...)
	return layer{
		rule: "transports/Y imports the standard library, bus, Watermill and its own driver",
		may: func(i string) bool {
			return isStd(i) || isLeaf(i) || isBus(i) || slices.ContainsFunc(allowed, func(a string) bool { return under(i, a) })
		},
		remedy: "a transport carries any event and knows no module; if this is its driver, add it to drivers in internal/arch",
	}
}

// under says whether an import path is prefix or lies below it.
func under(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// isBus leaves out the test kit, which ships in no transport.
func isBus(imported string) bool {
	return under(imported, root+"/bus") && !under(imported, root+"/bus/bustest")
}

func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

// leaves are the packages below internal that the library may import, too: they import the standard library only.
var leaves = []string{"oncelog", "pause"}

func isLeaf(imported string) bool {
	return slices.ContainsFunc(leaves, func(l string) bool { return imported == root+"/internal/"+l })
}

func isContract(imported string) bool {
	path, ok := strings.CutPrefix(imported, root+"/domain/")
	parts := strings.Split(path, "/")
	return ok && len(parts) > 1 && parts[1] == parts[0]+"events"
}
