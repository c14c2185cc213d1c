package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// clinicSettings has a setting of every type.
type clinicSettings struct {
	URL       string        `setting:"insurer.url" default:"https://insurer.example" value:"URL" help:"where it is"`
	Key       Secret        `setting:"insurer.key" help:"key to the insurer's API"`
	Timeout   time.Duration `setting:"insurer.timeout" default:"5s" help:"time that the insurer may take for an answer"`
	Share     float64       `setting:"insurer.share" default:"0.8" help:"part of a fee that the insurer pays"`
	Rooms     int           `setting:"rooms" default:"4" help:"rooms for patients"`
	Fee       int64         `setting:"fee-cents" default:"-250" help:"fee of a visit"`
	Plan      uint64        `setting:"plan.seed" help:"seed of the plan"`
	Reminders bool          `setting:"reminders" flag:"remind" default:"true" help:"remind patients"`
	Languages []string      `setting:"languages" default:"en,de" help:"languages that are spoken"`
}

var errRooms = errors.New("rooms are more than insurer.share allows")

// Validate finds three things that samples of the other tests do not have.
func (s *clinicSettings) Validate() error {
	var wrong []error
	if strings.HasPrefix(s.URL, "http:") {
		wrong = append(wrong, fmt.Errorf("insurer.url wants https, for %s and %q", s.Key, string(s.Key)))
	}
	if s.Rooms == 99 {
		wrong = append(wrong, fmt.Errorf("of 99: %w", errors.Join(errRooms, errRooms)), errRooms)
	}
	return errors.Join(wrong...)
}

var clinicModules = []string{"appointments", "billing", "reminders"}

var clinic = MustProgram("clinic", clinicModules, &clinicSettings{})

// TestOwnSettingsArrive reads every type from another source, and touches the program's struct only when it is told to.
func TestOwnSettingsArrive(t *testing.T) {
	t.Parallel()
	own := clinicSettings{Rooms: 7}
	p := MustProgram("clinic", clinicModules, &own)
	folder := t.TempDir()
	key := MustWriteAs(t, filepath.Join(folder, "key"), "hunter2\n")
	file := MustWriteAs(t, filepath.Join(folder, "clinic.yaml"),
		"insurer: {url: 'https://file', key-file: "+key+"}\nlanguages: [fr, en gb]\nreminders: true\n")
	l, err := p.Load(Input{
		Folder: folder,
		Flags:  MustFlagsOf(t, p, "--remind=false", "--fee-cents", "-9223372036854775808", "--insurer-timeout", "1m30s"),
		Environ: []string{
			"CLINIC_INSURER_SHARE=0.25", "CLINIC_REMIND=true", "CLINIC_PLAN_SEED=18446744073709551615", "TROUPE_ROOMS=9",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := clinicSettings{
		URL: "https://file", Key: "hunter2", Timeout: 90 * time.Second, Share: 0.25, Rooms: 4, Fee: -1 << 63, Plan: 1<<64 - 1,
		Languages: []string{"fr", "en gb"},
	}
	if got := l.Own.(*clinicSettings); !reflect.DeepEqual(*got, want) {
		t.Errorf("read %+v, want %+v", *got, want)
	}
	if l.Own.(*clinicSettings).Key != "hunter2" {
		t.Error("the secret did not arrive")
	}
	if !reflect.DeepEqual(own, clinicSettings{Rooms: 7}) {
		t.Errorf("Load touched the program's struct: %+v", own)
	}
	if l.Apply(); !reflect.DeepEqual(own, want) {
		t.Errorf("applied %+v, want %+v", own, want)
	}
	if l.Journal != "clinic.db" || l.Prefix != "clinic" || l.Backend.Kafka.ClientID != "clinic" || l.File != file {
		t.Errorf("loaded %+v", l.Settings)
	}
	rows := l.Rows()
	if last := rows[len(rows)-1]; last != (Row{Setting: "languages", Value: "fr,en gb", Source: l.File + ":2"}) {
		t.Errorf("the last row is %+v", last)
	}
}

// TestWithoutOwnSettings has a program that declares none.
func TestWithoutOwnSettings(t *testing.T) {
	t.Parallel()
	p := MustProgram("my-clinic-2", clinicModules, nil)
	l, err := p.Load(Input{Folder: t.TempDir(), Environ: []string{"MY_CLINIC_2_HTTP=127.0.0.1:0"}})
	if err != nil || l.Own != nil || l.HTTP != "127.0.0.1:0" || l.Journal != "my-clinic-2.db" {
		t.Errorf("loaded %+v: %v", l, err)
	}
	l.Apply()
}

// TestWithoutModules has a program that runs nothing, and looks at others.
func TestWithoutModules(t *testing.T) {
	t.Parallel()
	p := MustProgram("looker", nil, nil)
	_, err := p.Load(Input{Folder: t.TempDir(), Flags: MustFlagsOf(t, p, "--modules", "x")})
	if err == nil || !strings.Contains(err.Error(), `--modules: there is no module "x": there are none`) {
		t.Errorf("error %v", err)
	}
	r := p.Check(MustWrite(t, "journal: x.db"))
	if len(r.Wrong)+len(r.Warnings) > 0 || len(r.Deployables) != 1 || r.Deployables[0].Modules == nil {
		t.Errorf("report %+v", r)
	}
}

// TestErrorsThatHoldOthers are shown by their own text: only what errors.Join has put together is taken apart.
func TestErrorsThatHoldOthers(t *testing.T) {
	t.Parallel()
	one, two := errors.New("one"), errors.New("two")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "[]"}, {one, "[one]"}, {errors.Join(one, errors.Join(two, nil)), "[one two]"},
		{fmt.Errorf("both %w and %w", one, two), "[both one and two]"}, {emptyError{}, "[empty]"},
	} {
		if got := fmt.Sprint(joined(c.err)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

type emptyError struct{}

func (emptyError) Error() string   { return "empty" }
func (emptyError) Unwrap() []error { return nil }

// TestDeployablesWithOwnSettings gives each deployable its own values.
func TestDeployablesWithOwnSettings(t *testing.T) {
	t.Parallel()
	file := MustWrite(t, "transport: kafka", "kafka: {brokers: 'h:1'}", "insurer: {timeout: 7s, key: hunter2}",
		"deployables:",
		"  front: {modules: [appointments], rooms: 2, insurer.url: 'https://front'}",
		"  back: {modules: [billing, reminders], journal: back.db, http: ':0', languages: [fr], insurer: {timeout: 9s,",
		"    url: 'http://back'}}")
	load := func(name string) (*clinicSettings, string) {
		l, err := clinic.Load(Input{Flags: MustFlagsOf(t, clinic, "--config", file, "--deployable", name)})
		if err != nil {
			return l.Own.(*clinicSettings), strings.ReplaceAll(err.Error(), file, "clinic.yaml")
		}
		return l.Own.(*clinicSettings), ""
	}
	front, wrong := load("front")
	want := clinicSettings{
		URL: "https://front", Key: "hunter2", Timeout: 7 * time.Second, Share: 0.8, Rooms: 2, Fee: -250, Reminders: true,
		Languages: []string{"en", "de"},
	}
	if wrong != "" || !reflect.DeepEqual(*front, want) {
		t.Errorf("front: %+v, %s", *front, wrong)
	}
	back, wrong := load("back")
	if back.Rooms != 4 || back.URL != "http://back" || back.Timeout != 9*time.Second || len(back.Languages) != 1 {
		t.Errorf("back: %+v", *back)
	}
	const says = `insurer.url wants https, for (set) and "(set)"`
	if want := "1 mistake in the settings:\n  clinic.yaml:7: " + says; wrong != want {
		t.Errorf("back is refused with\n%s\nwant\n%s", wrong, want)
	}
	r := clinic.Check(file)
	warned := strings.ReplaceAll(r.Warnings.lines(), file, "clinic.yaml")
	if want := "clinic.yaml:7: back does not start with its file alone: " + says; warned != want || len(r.Wrong) > 0 {
		t.Errorf("check warns\n%s\nwant\n%s\nwrong: %v", warned, want, r.Wrong)
	}
	if found := clinic.Described(file); len(found) != 2 || found[1].Name != "back" || found[1].Journal != "back.db" {
		t.Errorf("described %+v", found)
	}
}

// TestValidate shows each error once, with the place of a setting that it names. It asks only if all could be read.
func TestValidate(t *testing.T) {
	t.Parallel()
	const rooms = "rooms are more than insurer.share allows"
	const both = "of 99: " + rooms + " " + rooms + "\nCLINIC_ROOMS: " + rooms
	for name, c := range map[string]struct {
		environ string
		shared  bool
		want    string
	}{
		"nothing":       {"CLINIC_ROOMS=5", false, ""},
		"a default":     {"CLINIC_ROOMS=99", false, both},
		"not read":      {"CLINIC_ROOMS=99 CLINIC_INSURER_SHARE=Inf", false, `CLINIC_INSURER_SHARE: "Inf": want a number`},
		"no deployable": {"CLINIC_ROOMS=99", true, ""},
		"another mistake": {"CLINIC_ROOMS=99 CLINIC_HTTP=x", false,
			"CLINIC_HTTP: \"x\": want host:port, such as 127.0.0.1:8080\n" + both},
	} {
		_, err := clinic.Load(Input{Folder: t.TempDir(), Environ: strings.Fields(c.environ), Shared: c.shared})
		var got Mistakes
		if errors.As(err, &got); got.lines() != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got.lines(), c.want)
		}
	}
}

// TestOwnMistakes says of every type what is wanted.
func TestOwnMistakes(t *testing.T) {
	t.Parallel()
	file := MustWrite(t, "languages: ['en,de']", "insurer: {key: [hunter2], timeot: 1s}", "plan: 7", "rooms: 1.5",
		"fee-cents: 9223372036854775808", "rems: true", "fee: 1")
	_, err := clinic.Load(Input{
		Flags: MustFlagsOf(t, clinic, "--config", file, "--remind=yes", "--languages=en,,de", "--plan-seed=-1"),
		Environ: []string{"CLINIC_INSURER_TIMEOUT=soon", "CLINIC_INSURER_SHARE=0x", "CLINIC_INSURER_KEY=hunter2\x01",
			"CLINIC_INSURER_URI=x", "CLINIC_INSURER_PORT=tcp://10.0.0.1:80", "CLINIC_INSURER_KEY_FILE=/nowhere"},
	})
	var got Mistakes
	errors.As(err, &got)
	want := `clinic.yaml:1: languages has an item with a comma, which would be two items: leave the comma out
clinic.yaml:2: insurer.key has the wrong shape: want TEXT
clinic.yaml:2: unknown key insurer.timeot: did you mean insurer.timeout?
clinic.yaml:3: plan is a plain value or a list: want keys with values
clinic.yaml:6: unknown key rems: KNOWN
clinic.yaml:7: unknown key fee: KNOWN
CLINIC_INSURER_URI: no setting has this variable: did you mean CLINIC_INSURER_URL?
CLINIC_INSURER_KEY: want some text on one line
CLINIC_INSURER_TIMEOUT: "soon": want a time of 0 or more, such as 40ms, 5s or 168h
CLINIC_INSURER_SHARE: "0x": want a number
clinic.yaml:4: rooms "1.5": want a whole number
clinic.yaml:5: fee-cents "9223372036854775808": want a whole number
--plan-seed: "-1": want a whole number of 0 or more
--remind: "yes": want true or false
--languages: "en,,de": want some text on one line, separated by commas
CLINIC_INSURER_KEY_FILE: insurer.key-file /nowhere: open /nowhere: no such file or directory`
	text := strings.ReplaceAll(got.lines(), file, "clinic.yaml")
	text = strings.ReplaceAll(text, "known here are name, modules, journal, http, hosts, peers, transport, prefix, "+
		"create-topics, kafka, postgres, insurer, rooms, fee-cents, plan, reminders, languages, deployables", "KNOWN")
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// TestOwnSecretIsNeverShown gives it in every way, and prints everything in every way.
func TestOwnSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key := MustWriteAs(t, filepath.Join(folder, "key"), `hun"ter2`)
	for name, in := range map[string]Input{
		"in the file":   {Flags: MustFlagsOf(t, clinic, "--config", MustWrite(t, `insurer: {key: 'hun"ter2'}`))},
		"in a variable": {Environ: []string{`CLINIC_INSURER_KEY=hun"ter2`}},
		"in a file":     {Flags: MustFlagsOf(t, clinic, "--insurer-key-file", key)},
	} {
		in.Folder, in.Environ = folder, append(in.Environ, "CLINIC_INSURER_URL=http://x")
		l, wrong := clinic.Load(in) // Validate prints it
		own := l.Own.(*clinicSettings)
		if own.Key != `hun"ter2` || wrong == nil {
			t.Errorf("%s: the secret did not arrive, or nothing is wrong: %v", name, wrong)
		}
		var out bytes.Buffer
		fmt.Fprintln(&out, wrong, l.Rows(), own.Key)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.2s", "%T"} {
			fmt.Fprintf(&out, verb+" "+verb+"\n", own.Key, *own)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("settings", "own", own, "copy", *own, "key", own.Key)
		}
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
			text, err := marshal([]any{own, *own, own.Key, map[string]Secret{"key": own.Key}})
			if err != nil {
				t.Fatal(err)
			}
			out.Write(text)
		}
		for _, shown := range []string{"hun", "ter2", "68756e", "68756E"} {
			if strings.Contains(out.String(), shown) {
				t.Errorf("%s: %q is in\n%s", name, shown, out.String())
			}
		}
		if r := rowOf(l, "insurer.key"); r.Value != "(set)" || !r.Secret {
			t.Errorf("%s: row %+v", name, r)
		}
	}
	if fmt.Sprint(Secret("")) != "" {
		t.Error("an empty secret looks as if it were set")
	}
}

// TestOwnSecretThatEverybodyCanRead warns of the file's permissions, as for the secrets of every program.
func TestOwnSecretThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	key := MustWriteAs(t, filepath.Join(t.TempDir(), "key"), "hunter2")
	MustChmod(t, key, 0o644)
	l, err := clinic.Load(Input{Folder: t.TempDir(), Flags: MustFlagsOf(t, clinic, "--insurer-key-file", key)})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.ReadableSecrets(); len(got) != 1 || got[0].Where != key || !strings.Contains(got[0].What, "insurer.key") {
		t.Errorf("warnings %v", got)
	}
}

// TestEverythingSaysTheProgramsName looks at all texts that have a name in them.
func TestEverythingSaysTheProgramsName(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	clinic.Bind(fs)
	instead, _ := clinic.Secret("insurer-key")
	file := MustWrite(t, "transport: kafka", "modules: [bilings]", "peers: {billing: x}",
		"deployables: {a: {}, b: {kafka: {sasl-mechanism: PLAIN}}}")
	texts := []string{fs.FlagUsages(), instead, clinic.DefaultFile()}
	for _, in := range []Input{
		{Flags: MustFlagsOf(t, clinic, "--config", file)},
		{Flags: MustFlagsOf(t, clinic, "--config", file, "--deployable=b")},
		{Folder: t.TempDir(), Environ: []string{"CLINIC_TRANSPORT=postgres", "CLINIC_MODULES=billing"}},
		{Folder: t.TempDir(), Environ: []string{"CLINIC_KAFKA_BROKERS=h:1", "CLINIC_JORNAL=x"}},
	} {
		l, err := clinic.Load(in)
		texts = append(texts, fmt.Sprint(err, l.Rows()))
	}
	r := clinic.Check(file)
	texts = append(texts, r.Wrong.lines(), r.Warnings.lines())
	whole := strings.ReplaceAll(strings.Join(texts, "\n"), filepath.Dir(file), "")
	for _, word := range []string{"troupe", "shop's", "order", "inventory"} {
		if strings.Contains(strings.ReplaceAll(strings.ToLower(whole), "/troupe.yaml", ""), word) {
			t.Errorf("%q is in\n%s", word, whole)
		}
	}
	for _, want := range []string{
		"clinic.yaml, if the file exists", "choose a, b with --deployable or CLINIC_DEPLOYABLE", "CLINIC_POSTGRES_URL",
		"set CLINIC_KAFKA_BROKERS when you start", "did you mean CLINIC_JOURNAL?", "--insurer-url URL",
		"insurer.key or insurer.key-file in the file, or CLINIC_INSURER_KEY",
		"did you mean billing? there are appointments, billing, reminders",
	} {
		if !strings.Contains(whole, want) {
			t.Errorf("%q is not in\n%s", want, whole)
		}
	}
}
