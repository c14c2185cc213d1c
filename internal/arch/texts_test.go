package arch

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inLibrary reports whether any program may import the package in the folder dir, or runs it without a command line.
func inLibrary(dir string) bool {
	top, rest, _ := strings.Cut(dir, "/")
	below, _, _ := strings.Cut(rest, "/")
	return slices.Contains([]string{"bus", "domain", "handlers", "transports"}, top) ||
		top == "internal" && (slices.Contains(leaves, below) || below == "front" || below == "httpserve")
}

// checkPrefix finds texts of errors that wrap another error and begin with the name of a package. The wrapped error may
// begin with the same name.
func checkPrefix(s source, packages []string) []violation {
	var found []violation
	for _, t := range textsOf(s) {
		first, _, prefixed := strings.Cut(t.text, ": ")
		if prefixed && slices.Contains(packages, first) && strings.Contains(t.text, "%w") {
			found = append(found, violation{s.at(t.pos) + ": " + strconv.Quote(t.text),
				"an error that wraps another does not begin with the name of a package, which the other may begin with",
				"leave the name out: an error that wraps nothing begins with it"})
		}
	}
	return found
}

// commandLine is what the command line of Troupe has: the names of its commands and flags.
type commandLine struct{ commands, flags []string }

var (
	commandUse   = regexp.MustCompile(`Use: "([a-z]+)`)
	flagName     = regexp.MustCompile(`Var\([^,]+, "([a-z-]+)"`)
	anyFlag      = regexp.MustCompile(`(^|[\s('"` + "`" + `])--[a-z]`)
	sqlText      = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE) `)
	quotedWord   = regexp.MustCompile(`['` + "`" + `]([a-z]+)(( [^'` + "`" + `]*)?)['` + "`" + `]`)
	namedCommand = regexp.MustCompile(`\b(?:troupe|command) '?([a-z]+)`)
)

// otherTools are texts that name a flag or a command of another program than Troupe's.
var otherTools = []string{
	"kafka-configs.sh", "kafka-topics.sh", "kafka-transactions.sh", // of Kafka
	"--resource-pattern-type", // of kafka-acls.sh, after the name of a right
	"--replication-factor",    // a part of a line for kafka-topics.sh
	"'troupe cover'",          // the help of the flag of `go test` that writes the file for that command
	"--count",                 // of Git
}

// mustReadCommandLine returns the names that the sources of the command line declare.
func mustReadCommandLine(tb testing.TB) commandLine {
	tb.Helper()
	var c commandLine
	for _, file := range MustFiles(tb, ".go") {
		if !strings.HasPrefix(file, "internal/cli/") && !strings.HasPrefix(file, "cmd/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := string(MustRead(tb, file))
		for _, m := range commandUse.FindAllStringSubmatch(text, -1) {
			c.commands = append(c.commands, m[1])
		}
		for _, m := range flagName.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "-") { // other names are words of English
				c.flags = append(c.flags, m[1])
			}
		}
	}
	if len(c.commands) < 10 || len(c.flags) < 5 {
		tb.Fatalf("the sources of the command line declare only the commands %v and the flags %v", c.commands, c.flags)
	}
	return c
}

// checkNames finds texts that name a command or a flag of c.
func (c commandLine) checkNames(s source) []violation {
	var found []violation
	for _, t := range textsOf(s) {
		if slices.ContainsFunc(otherTools, func(o string) bool { return strings.Contains(t.text, o) }) {
			continue
		}
		if named := c.namedIn(t.text); named != "" {
			found = append(found, violation{s.at(t.pos) + " names " + named + ": " + strconv.Quote(t.text),
				"the library names no flag and no command of a command line",
				"say what to do in the library's words, and return a typed error, for which internal/cli writes the hint"})
		}
	}
	return found
}

// namedIn returns the flag or the command that text names, or "".
func (c commandLine) namedIn(text string) string {
	if flag := anyFlag.FindString(text); flag != "" {
		return flag
	}
	for _, flag := range c.flags {
		if regexp.MustCompile(`(^|[^\w-])` + flag + `($|[^\w-])`).MatchString(text) {
			return flag
		}
	}
	if sqlText.MatchString(text) {
		return ""
	}
	for _, m := range append(quotedWord.FindAllStringSubmatch(text, -1), namedCommand.FindAllStringSubmatch(text, -1)...) {
		if slices.Contains(c.commands, m[1]) {
			return m[0]
		}
	}
	if strings.Contains(text, "dlq") { // no word of English
		return "dlq"
	}
	return ""
}

// text is a string in a source. Strings that are added are one text.
type text struct {
	pos  token.Pos
	text string
}

// textsOf returns the strings of a file without its imports and tags.
func textsOf(s source) (texts []text) {
	var add func(n ast.Node) bool
	add = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			ast.Inspect(n.Type, add)
			return false
		case *ast.BasicLit, *ast.BinaryExpr:
			if joined, ok := joined(n.(ast.Expr)); ok {
				texts = append(texts, text{n.Pos(), joined})
				return false
			}
		}
		return true
	}
	ast.Inspect(s.file, add)
	return texts
}

// joined returns the text of a string, or of strings that are added to each other, with "…" for other parts.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			value, err := strconv.Unquote(e.Value)
			return value, err == nil
		}
	case *ast.BinaryExpr:
		left, isLeft := joined(e.X)
		right, isRight := joined(e.Y)
		if e.Op == token.ADD && (isLeft || isRight) {
			if !isLeft {
				left = "…"
			}
			if !isRight {
				right = "…"
			}
			return left + right, true
		}
	}
	return "", false
}

func TestTextsOfTheLibrary(t *testing.T) {
	t.Parallel()
	command := mustReadCommandLine(t)
	var library []source
	var packages []string
	for _, s := range MustSources(t) {
		if !s.isTest() && inLibrary(path.Dir(s.path)) {
			library, packages = append(library, s), append(packages, s.file.Name.Name)
		}
	}
	for _, s := range library {
		report(t, checkPrefix(s, packages))
		report(t, command.checkNames(s))
	}
}

func TestCheckTexts(t *testing.T) {
	t.Parallel()
	c := commandLine{commands: []string{"split", "dlq", "run"}, flags: []string{"no-backup"}}
	tests := []struct{ name, text, prefix, named string }{
		{"root", `errors.New("sqlite: closed")`, "", ""},
		{"root with an argument", `fmt.Errorf("sqlite: feed %s is open", f)`, "", ""},
		{"wrap", `fmt.Errorf("read: %w", err)`, "", ""},
		{"wrap of a sentinel", `fmt.Errorf("%w: sqlite: %w", ErrClosed, err)`, "", ""},
		{"wrap with a prefix", `fmt.Errorf("sqlite: read: %w", err)`, "an error that wraps another", ""},
		{"wrap with a prefix, in two parts", `fmt.Errorf("sqlite: read " + name + ": %w", err)`, "an error that wraps another", ""},
		{"wrap that begins like a package", `fmt.Errorf("journal: %w", err)`, "", ""},
		{"flag", `errors.New("set --journal")`, "", "the library names no flag"},
		{"flag without hyphens before", `errors.New("make no copy (no-backup)")`, "", "the library names no flag"},
		{"comment in SQL", "`SELECT 1 -- split`", "", ""},
		{"flag of another tool", `errors.New("kafka-topics.sh --create")`, "", ""},
		{"quoted command", `errors.New("use 'split NAME'")`, "", "the library names no flag"},
		{"command in backticks", "errors.New(\"use `run`\")", "", "the library names no flag"},
		{"named command", `errors.New("see troupe run")`, "", "the library names no flag"},
		{"value of SQL", `f("UPDATE moves SET state = 'done'")`, "", ""},
		{"group of commands", `errors.New("see the dlq")`, "", "the library names no flag"},
		{"verb", `errors.New("a split did not take place, or run it here")`, "", ""},
		{"tag", "struct {\n\tA int `flag:\"--journal\"`\n}{}", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := MustParse(t, "a.go", []byte("package a\n\nvar a = "+tt.text+"\n"))
			expectRule(t, checkPrefix(s, []string{"sqlite"}), tt.prefix)
			expectRule(t, c.checkNames(s), tt.named)
		})
	}
}
