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
		"": false, "Clinic": false, "2clinic": false, "-clinic": false, "my_clinic": false, "my.clinic": false,
		"klinik-ü": false, "a/b": false, "a b": false, strings.Repeat("a", 33): false, "clinic\n": false,
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
	const pointer = "want a pointer to a struct, and not nil"
	type text string
	for name, c := range map[string]struct {
		own  any
		want string // lines without "config: "
	}{
		"a struct":      {clinicSettings{}, "own settings are a config.clinicSettings: " + pointer},
		"a nil pointer": {(*clinicSettings)(nil), "own settings are a *config.clinicSettings: " + pointer},
		"a number":      {new(int), "own settings are a *int: " + pointer},
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
		}{}, `field A of the settings: type config.text: want TYPES
field B of the settings: type map[string]int: want TYPES
field C of the settings: type *time.Duration: want TYPES`},
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
			G int    `setting:"deployable" help:"g"`
			H int    `setting:"h" flag:"adopt" help:"h"`
			I int    `setting:"deployables.x" help:"i"`
			J Secret `setting:"postgres-url" help:"j"`
		}{}, `field A of the settings: there is already a setting http OFALL
field B of the settings: setting kafka cannot be in one file with kafka.brokers OFALL: one is below the other
field C of the settings: setting kafka.extra is in the group of kafka.brokers OFALL: use another group
field D of the settings: setting d has the flag --brokers of kafka.brokers OFALL
field E of the settings: setting kafka-brokers has the variable CLINIC_KAFKA_BROKERS of kafka.brokers OFALL
field F of the settings: setting http.port cannot be in one file with http OFALL: one is below the other
field G of the settings: setting deployable: deployable RESERVED
field H of the settings: setting h: adopt RESERVED
field I of the settings: setting deployables.x: deployables RESERVED
field J of the settings: setting postgres-url has the flag --postgres-url of postgres.url OFALL`},
		"clashes with its own": {&struct {
			A int    `setting:"a.b" help:"a"`
			B int    `setting:"a.b" help:"b"`
			C int    `setting:"a-b" help:"c"`
			D int    `setting:"a" help:"d"`
			E int    `setting:"e" flag:"a-b" help:"e"`
			F Secret `setting:"f" help:"f"`
			G string `setting:"f-file" help:"g"`
			H string `setting:"a.c" help:"h"`
		}{}, `field B of the settings: there is already a setting a.b, of field A
field C of the settings: setting a-b has the flag --a-b of a.b, of field A
field D of the settings: setting a cannot be in one file with a.b, of field A: one is below the other
field E of the settings: setting e has the flag --a-b of a.b, of field A
field G of the settings: there is already a setting f-file, of field F`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := NewProgram("clinic", clinicModules, c.own)
			if err == nil || p != nil {
				t.Fatal("taken")
			}
			got := strings.NewReplacer("config: ", "", wantTypes, "TYPES", ", which every program has", " OFALL",
				"is a word of the command line or of the file: use another one", "RESERVED").Replace(err.Error())
			if got != c.want {
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
	want := `config: program "Clinic": want up to 32 lower-case letters, digits and dashes, the first one a letter
config: field A of config.settings: type uint8: want ` + wantTypes
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
