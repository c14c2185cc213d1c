package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/troupebus/troupe/internal/config/parse"
)

// shop is the program that most tests read the settings of.
var shop = MustProgram("troupe", []string{"inventory", "notification", "order", "payment", "shipping"}, &shopSettings{})

type shopSettings struct {
	Seed    uint64        `setting:"seed" default:"1" value:"SEED" help:"which failures come up"`
	Latency time.Duration `setting:"latency" default:"40ms" help:"how long answers take"`
}

// MustProgram returns a program whose settings are declared well.
func MustProgram(name string, modules []string, own any) *Program {
	p, err := NewProgram(name, modules, own)
	if err != nil {
		panic(err)
	}
	return p
}

// MustWrite writes a file of settings, and returns its path.
func MustWrite(tb testing.TB, lines ...string) string {
	tb.Helper()
	return MustWriteAs(tb, filepath.Join(tb.TempDir(), "troupe.yaml"), strings.Join(lines, "\n")+"\n")
}

// MustWriteAs writes a file, and returns its path.
func MustWriteAs(tb testing.TB, path, text string) string {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// MustFlags reads a command line of the shop.
func MustFlags(tb testing.TB, args ...string) *Flags {
	tb.Helper()
	return MustFlagsOf(tb, shop, args...)
}

// MustFlagsOf reads a command line of a program.
func MustFlagsOf(tb testing.TB, p *Program, args ...string) *Flags {
	tb.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f := p.Bind(fs)
	if err := fs.Parse(args); err != nil {
		tb.Fatal(err)
	}
	return f
}

// rowOf is what Rows say of a setting.
func rowOf(l *Loaded, path string) Row {
	for _, r := range l.Rows() {
		if r.Setting == path {
			return r
		}
	}
	return Row{}
}

// samples are two texts that a setting takes, in the form in which it shows them.
func samples(tb testing.TB, s *setting) [2]string {
	tb.Helper()
	kind := s.of
	if options := strings.Split(kind, "|"); len(options) > 1 && options[1] != "forever" {
		return [2]string(options[:2])
	}
	found, ok := map[string][2]string{
		"NAME": {"a.b", "c-d"}, "TEXT": {"some text", "other text"}, "TEXT" + parse.Several: {"a b", "c,d e"}, "NUMBER": {"-0.25", "1e+21"}, "FILE": {"a/b", "c.d"}, "HOST:PORT": {"127.0.0.1:80", "[::1]:0"},
		"HOST" + parse.Several: {"shop.example", "a,b-c"}, "HOST:PORT" + parse.Several: {"a:1", "b:2,c:3"}, "URL": {"postgres://u:p@h/d", "postgresql://h:5432/d?sslmode=disable"}, "N": {"1", "12"}, "SEED": {"0", "18446744073709551615"},
		"TIME": {"5s", "0s"}, "TIME|forever": {"1h0m0s", "forever"}, parse.KindSwitch: {"true", "false"}, "MODULE" + parse.Several: {"order,payment", "all"},
		parse.KindPairs: {"order=http://a:1", "order=http://b,payment=https://c/d"},
	}[kind]
	if !ok {
		tb.Fatalf("%s is of a new kind, %s: give it samples", s.path, kind)
	}
	return found
}

// yamlOf is a file's text with one setting, below deployables.one where nested.
func yamlOf(path, text string, nested bool) string {
	var b strings.Builder
	indent := ""
	if nested {
		b.WriteString("  one:\n")
		indent = "    "
	}
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		fmt.Fprintf(&b, "%s%s:\n", indent, k)
		indent += "  "
	}
	fmt.Fprintf(&b, "%s%s: %q\n", indent, keys[len(keys)-1], text)
	return b.String()
}

// programs are those whose every setting is tried.
var programs = []*Program{shop, clinic}

// Every setting can be given in every way, and the stronger way holds: for each way, with everything weaker saying otherwise.
func TestPrecedenceOfEverySetting(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		for i := range p.table {
			s := &p.table[i]
			ways := []string{"shared", "deployable", "environment", "flag"}
			if s.secret {
				ways = ways[:3]
			}
			for strongest, way := range ways {
				for turn := range 2 { // the winner is one sample, then the other, so that none wins by being the default
					t.Run(fmt.Sprintf("%s/%s/%s/%d", p.name, s.path, way, turn), func(t *testing.T) {
						t.Parallel()
						testPrecedence(t, p, s, strongest, turn)
					})
				}
			}
		}
	}
}

func testPrecedence(t *testing.T, p *Program, s *setting, strongest, turn int) {
	texts := samples(t, s)
	win, lose := texts[turn], texts[1-turn]
	text := func(level int) string {
		if level == strongest {
			return win
		}
		return lose
	}
	body := yamlOf(s.path, text(0), false)
	if strongest >= 1 {
		body += deployablesKey + ":\n" + yamlOf(s.path, text(1), true)
	}
	var in Input
	args := []string{"--config", MustWrite(t, body)}
	if strongest >= 1 {
		args = append(args, "--deployable=one")
	}
	if strongest >= 2 {
		in.Environ = []string{s.env() + "=" + text(2)}
	}
	if strongest >= 3 {
		args = append(args, "--"+s.flagName()+"="+text(3))
	}
	in.Flags = MustFlagsOf(t, p, args...)
	l, err := p.Load(in) // many settings need others beside them, which are not there
	if got := s.field(&l.Settings).String(); got != win {
		t.Errorf("%s is %q, want %q (%v)", s.path, got, win, err)
	}
	inShared := strings.Count(s.path, ".") + 1
	places := []string{fmt.Sprintf("%s:%d", args[1], inShared), fmt.Sprintf("%s:%d", args[1], 2*inShared+2), s.env(), "--" + s.flagName()}
	if got := rowOf(l, s.path).Source; got != places[strongest] {
		t.Errorf("%s comes from %q, want %q", s.path, got, places[strongest])
	}
}

func TestDefaultsOfEverySetting(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		l, err := p.Load(Input{Folder: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.table {
			s := &p.table[i]
			r := rowOf(l, s.path)
			if r.Source != "default" || s.standard != "" && r.Value != s.standard && r.Value != s.standard+"0m0s" {
				t.Errorf("%s is %+v, want its default %q", s.path, r, s.standard)
			}
			if s.help == "" {
				t.Errorf("%s has no help", s.path)
			}
		}
		if l.Name != "all" || l.Modules != nil || !l.Runs("order") || l.File != "" {
			t.Errorf("loaded %+v", l)
		}
	}
}

// What is shown can be given: config prints nothing that a file would not take.
func TestWhatIsShownCanBeGiven(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		for i := range p.table {
			s := &p.table[i]
			for _, text := range samples(t, s) {
				one, two := p.blank(), p.blank()
				if err := s.field(one).Set(text); err != nil {
					t.Errorf("%s refuses %q: %v", s.path, text, err)
					continue
				}
				shown := s.field(one).String()
				if err := s.field(two).Set(shown); err != nil || s.field(two).String() != shown {
					t.Errorf("%s shows %q, and refuses it: %v", s.path, shown, err)
				}
			}
		}
	}
}

func TestNameIsThatOfTheModules(t *testing.T) {
	t.Parallel()
	l, err := shop.Load(Input{Folder: t.TempDir(), Flags: MustFlags(t, "--modules", "order, notification", "--transport", "kafka", "--brokers", "h:1")})
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != "order-notification" || !l.Runs("order") || l.Runs("payment") {
		t.Errorf("name %q, modules %q", l.Name, l.Modules)
	}
}

func TestDefaultFileIsRead(t *testing.T) {
	t.Parallel()
	path := MustWrite(t, "name: found", "kafka:", "  brokers: [a:1, b:2]", "transport: kafka", "peers:", "  order: http://10.0.0.1:8080/", "  payment: https://pay")
	l, err := shop.Load(Input{Folder: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	c := l.Transport()
	if l.Name != "found" || l.File != path || strings.Join(c.Kafka.Brokers, " ") != "a:1 b:2" || c.Kafka.Prefix != "troupe" || c.Kafka.NoCreate {
		t.Errorf("loaded %+v, transport %+v", l.Settings, c)
	}
	c.Group = "g"
	if err := c.Validate(); err != nil {
		t.Errorf("the transport refuses it: %v", err)
	}
	if len(l.Peers) != 2 || l.Peers["order"] != "http://10.0.0.1:8080" {
		t.Errorf("peers %v", l.Peers)
	}
}

func TestSecretsAreReadFromFilesAndNeverShown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	password := MustWriteAs(t, filepath.Join(folder, "password"), "hunter2\n")
	url := MustWriteAs(t, filepath.Join(folder, "url"), "postgres://ada:hunter2@localhost/d")
	kafka := []string{"--transport", "kafka", "--brokers", "h:1", "--kafka-tls", "--kafka-sasl-mechanism", "PLAIN", "--kafka-sasl-user", "ada"}
	for name, in := range map[string]Input{
		"password file":        {Flags: MustFlags(t, append(kafka, "--kafka-sasl-password-file", password)...)},
		"password in variable": {Flags: MustFlags(t, kafka...), Environ: []string{"TROUPE_KAFKA_SASL_PASSWORD=hunter2"}},
		"url file":             {Flags: MustFlags(t, "--transport", "postgres", "--postgres-url-file", url)},
		"url in variable":      {Flags: MustFlags(t, "--transport", "postgres"), Environ: []string{"TROUPE_POSTGRES_URL=postgres://ada:hunter2@localhost/d"}},
	} {
		in.Folder = folder
		l, err := shop.Load(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := l.Transport()
		if c.Kafka.SASL.Password != "hunter2" && c.Postgres.URL != "postgres://ada:hunter2@localhost/d" {
			t.Errorf("%s: the secret did not arrive", name)
		}
		shown := fmt.Sprint(l.Rows())
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "(set)") {
			t.Errorf("%s: shown as %s", name, shown)
		}
	}
}

func TestSecretsHaveNoFlag(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		p.Bind(fs)
		for i := range p.table {
			s := &p.table[i]
			instead, secret := p.Secret(s.short())
			if secret != s.secret || secret && (fs.Lookup(s.short()) != nil || !strings.Contains(instead, s.env()) || p.named(s.path+"-file") == nil) {
				t.Errorf("%s: secret %t, %q", s.path, secret, instead)
			}
			if !s.secret && fs.Lookup(s.flagName()) == nil {
				t.Errorf("%s has no flag", s.path)
			}
		}
	}
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Parallel()
	l, err := shop.Load(Input{Folder: t.TempDir(), Environ: []string{"TROUPE_MODULES=", "TROUPE_CONFIG=", "TROUPE_COVER=x", "PATH=/bin", "odd"}})
	if err != nil || l.Modules != nil {
		t.Errorf("Load: %v, %v", l.Modules, err)
	}
}

func TestFileAndDeployableFromVariables(t *testing.T) {
	t.Parallel()
	path := MustWrite(t, "transport: kafka", "kafka: {brokers: 'h:1'}", "deployables:", "  front: {modules: [order, notification, inventory]}", "  back: {modules: [payment, shipping], journal: back.db}")
	l, err := shop.Load(Input{Environ: []string{"TROUPE_CONFIG=" + path, "TROUPE_DEPLOYABLE=back"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Deployable != "back" || l.Name != "back" || l.Journal != "back.db" || !l.Runs("shipping") || l.Runs("order") {
		t.Errorf("loaded %+v", l.Settings)
	}
	if r := rowOf(l, "name"); r.Source != path+":5" {
		t.Errorf("the name comes from %s", r.Source)
	}
}
