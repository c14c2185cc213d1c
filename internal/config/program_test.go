package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestNames takes what can be the name of a file, a topic and a variable.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, fits := range map[string]bool{
		"clinic": true, "my-clinic-2": true, "c": true, strings.Repeat("a", 32): true,
		"": false, "Clinic": false, "2clinic": false, "-clinic": false, "my_clinic": false, "my.clinic": false, "klinik-ü": false, "a/b": false, "a b": false,
		strings.Repeat("a", 33): false, "clinic\n": false,
	} {
		if _, err := NewProgram(name, nil, nil); (err == nil) != fits {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestNewProgramRefuses names the field of everything that a programmer can do wrong.
func TestNewProgramRefuses(t *testing.T) {
	t.Parallel()
	const words = "want words of lower-case letters and digits with dashes between them"
	type text string
	for name, c := range map[string]struct {
		own  any
		want string // lines without "config: "
	}{
		"a struct":      {clinicSettings{}, "settings of its own are a config.clinicSettings: want a pointer to a struct, which is not nil"},
		"a nil pointer": {(*clinicSettings)(nil), "settings of its own are a *config.clinicSettings: want a pointer to a struct, which is not nil"},
		"a number":      {new(int), "settings of its own are a *int: want a pointer to a struct, which is not nil"},
		"no help": {&struct {
			A int `setting:"a"`
		}{}, `field A of the settings: setting a has no help: want help:"…", on one line`},
		"long help": {&struct {
			A int "setting:\"a\" help:\"x\\ny\""
		}{}, `field A of the settings: setting a has no help: want help:"…", on one line`},
		"no tag": {&struct{ A int }{}, `field A of the settings: it has no path: want setting:"its.path" and help:"…"`},
		"not exported": {&struct {
			a int `setting:"a" help:"a"`
		}{}, `field a of the settings: it is not exported, so nothing can be read into it`},
		"types": {&struct {
			A text           `setting:"a" help:"a"`
			B map[string]int `setting:"b" help:"b"`
			C *time.Duration `setting:"c" help:"c"`
		}{}, `field A of the settings: type config.text: want string, bool, int, int64, uint64, float64, time.Duration, []string or Secret
field B of the settings: type map[string]int: want string, bool, int, int64, uint64, float64, time.Duration, []string or Secret
field C of the settings: type *time.Duration: want string, bool, int, int64, uint64, float64, time.Duration, []string or Secret`},
		"defaults": {&struct {
			A int           `setting:"a" help:"a" default:"many"`
			B time.Duration `setting:"b" help:"b" default:"-1s"`
			C bool          `setting:"c" help:"c" default:"ja"`
			D Secret        `setting:"d" help:"d" default:"hunter2"`
			E Secret        `setting:"e" help:"e" flag:"e"`
		}{}, `field A of the settings: default "many": want a whole number
field B of the settings: default "-1s": want a time of 0 or more, such as 40ms, 5s or 168h
field C of the settings: default "ja": want true or false
field D of the settings: setting d is a secret, which has no flag and no default
field E of the settings: setting e is a secret, which has no flag and no default`},
		"characters": {&struct {
			A int  `setting:"a_b" help:"a"`
			B int  `setting:"a.b.c" help:"b"`
			C int  `setting:"ä" help:"c"`
			D int  `setting:"d" flag:"D" help:"d"`
			E int  `setting:"e" value:"a b" help:"e"`
			F bool `setting:"f" value:"F" help:"f"`
		}{}, `field A of the settings: setting "a_b": ` + words + `, and at most one dot
field B of the settings: setting "a.b.c": ` + words + `, and at most one dot
field C of the settings: setting "ä": ` + words + `, and at most one dot
field D of the settings: flag "D": ` + words + `
field E of the settings: value "a b": want capital letters, for a setting that is not a bool
field F of the settings: value "F": want capital letters, for a setting that is not a bool`},
		"tags": {reflect.New(reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `setting:"a" help:"a" defualt:"1" json:"a"`},
			{Name: "B", Type: reflect.TypeFor[int](), Tag: `setting:"b" help:"b" default:1`},
		})).Interface(), `field A of the settings: tag defualt: did you mean default?
field B of the settings: tag default:1: want key:"value" from here on, with spaces between several`},
		"clashes with every program's": {&struct {
			A int    `setting:"http" help:"a"`
			B int    `setting:"kafka" help:"b"`
			C int    `setting:"kafka.extra" help:"c"`
			D int    `setting:"d" flag:"brokers" help:"d"`
			E int    `setting:"kafka-brokers" flag:"e" help:"e"`
			F int    `setting:"http.port" help:"f"`
			G int    `setting:"config" help:"g"`
			H int    `setting:"h" flag:"adopt" help:"h"`
			I int    `setting:"deployables" help:"i"`
			J Secret `setting:"postgres-url" help:"j"`
		}{}, `field A of the settings: there is a setting http already, which every program has
field B of the settings: setting kafka and setting kafka.brokers, which every program has, cannot be in one file: one is below the other
field C of the settings: setting kafka.extra is in group kafka, which every program has: use a group of its own
field D of the settings: setting d has the same flag as setting kafka.brokers, which every program has: --brokers
field E of the settings: setting kafka-brokers has the same variable as setting kafka.brokers, which every program has: CLINIC_KAFKA_BROKERS
field F of the settings: setting http.port and setting http, which every program has, cannot be in one file: one is below the other
field G of the settings: setting config is called like a word of the command line or of the file: use another one
field H of the settings: setting h is called like a word of the command line or of the file: use another one
field I of the settings: setting deployables is called like a word of the command line or of the file: use another one
field J of the settings: setting postgres-url has the same flag as setting postgres.url, which every program has: --postgres-url`},
		"clashes with its own": {&struct {
			A int    `setting:"a.b" help:"a"`
			B int    `setting:"a.b" help:"b"`
			C int    `setting:"a-b" help:"c"`
			D int    `setting:"a" help:"d"`
			E int    `setting:"e" flag:"a-b" help:"e"`
			F Secret `setting:"f" help:"f"`
			G string `setting:"f-file" help:"g"`
			H string `setting:"a.c" help:"h"`
		}{}, `field B of the settings: there is a setting a.b already, of field A
field C of the settings: setting a-b has the same flag as setting a.b, of field A: --a-b
field D of the settings: setting a and setting a.b, of field A, cannot be in one file: one is below the other
field E of the settings: setting e has the same flag as setting a.b, of field A: --a-b
field G of the settings: there is a setting f-file already, of field F`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := NewProgram("clinic", clinicModules, c.own)
			if err == nil || p != nil {
				t.Fatal("taken")
			}
			if got := strings.ReplaceAll(err.Error(), "config: ", ""); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestNewProgramSaysEverythingAtOnce joins what is wrong with the name and with the fields of a struct that has a name.
func TestNewProgramSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	type settings struct {
		A uint8 `setting:"a"`
	}
	_, err := NewProgram("Clinic", nil, &settings{})
	want := `config: program "Clinic": want a name of up to 32 lower-case letters, digits and dashes that begins with a letter
config: field A of config.settings: type uint8: want string, bool, int, int64, uint64, float64, time.Duration, []string or Secret`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
