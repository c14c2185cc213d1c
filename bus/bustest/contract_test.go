package bustest_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// The library: the desk lends books, whose shape has all that a shape can have; mail reminds of them.
type (
	lent struct {
		stamp
		*Place
		ID       string             `json:"id"`
		Reader   *reader            `json:"reader,omitempty"`
		Books    []book             `json:"books"`
		Tags     []string           `json:"tags"`
		Fines    map[string]fine    `json:"fines"`
		Days     int32              `json:"days,string"`
		Weight   float64            `json:"weight"`
		Open     bool               `json:"open"`
		Due      time.Time          `json:"due"`
		Cover    []byte             `json:"cover"`
		Extra    json.RawMessage    `json:"extra"`
		Any      any                `json:"any"`
		Exact    json.Number        `json:"exact"`
		State    state              `json:"state"`
		Colour   colour             `json:"colour"`
		Corners  [4]int             `json:"corners"`
		Nested   map[string][]place `json:"nested"`
		Untagged string
		Secret   string `json:"-"`
		hidden   string
	}
	stamp struct {
		ID string // the one above is less deep
		By string `json:"by"`
	}
	Place struct {
		City string `json:"city"`
		By2  string `json:"Untagged"` // the one above is less deep
	}
	place  Place
	reader struct {
		Name    string   `json:"name"`
		Parents []reader `json:"parents"`
	}
	book struct {
		Title string `json:"title"`
		Pages uint16 `json:"pages"`
	}
	fine   int64
	state  int
	colour struct{ r, g, b byte }

	reminder  struct{ Text string }
	returned  string
	forgotten struct {
		ID string `json:"id"`
	}
)

func (lent) EventType() string                        { return "desk.lent" }
func (lent) EventVersion() int                        { return 3 }
func (e lent) EventKey() string                       { return e.ID + e.hidden }
func (*reminder) EventType() string                   { return "mail.reminder" }
func (e *reminder) EventKey() string                  { return "" }
func (returned) EventType() string                    { return "desk.returned" }
func (e returned) EventKey() string                   { return string(e[0]) }
func (forgotten) EventType() string                   { return "mail.forgotten" }
func (e forgotten) EventKey() string                  { return e.ID }
func (s state) MarshalText() (text []byte, err error) { return []byte{'a' + byte(s)}, nil }
func (c colour) MarshalJSON() ([]byte, error)         { return json.Marshal([]byte{c.r, c.g, c.b}[0]) }

func library() *bus.Bus {
	b := bus.New(nil, bus.Config{})
	desk := b.Module("desk").Emits(lent{}, returned(""))
	mail := b.Module("mail").ForOutside(&reminder{})
	bus.On(mail, "remind", func(context.Context, lent) (bus.Events, error) { return nil, nil }).Emits(&reminder{})
	bus.On(mail, "forget", func(context.Context, returned) (bus.Events, error) { return nil, nil })
	bus.On(desk, "wonder", func(context.Context, forgotten) (bus.Events, error) { return nil, nil }).Was("ponder")
	return b
}

const contractFile = "testdata/contract.json"

func TestContract(t *testing.T) {
	t.Parallel()
	bustest.Contract(t, library(), contractFile)
}

func TestWiring(t *testing.T) {
	t.Parallel()
	w := library().Wiring()
	var events, subscriptions []string
	for _, e := range w.Events {
		events = append(events, e.Type+" "+e.Emitter+" "+w.Go[e.Type].Name())
	}
	for _, s := range w.Subscriptions {
		subscriptions = append(subscriptions, s.Name+" "+strings.Join(s.Consumes, " ")+" "+strings.Join(s.Emits, " "))
	}
	if want := []string{"desk.lent desk lent", "desk.returned desk returned", "mail.forgotten  forgotten", "mail.reminder mail reminder"}; !slices.Equal(events, want) {
		t.Errorf("got %q, want %q", events, want)
	}
	if want := []string{"desk/wonder mail.forgotten ", "mail/forget desk.returned ", "mail/remind desk.lent mail.reminder"}; !slices.Equal(subscriptions, want) {
		t.Errorf("got %q, want %q", subscriptions, want)
	}
	if n := bus.New(nil, bus.Config{}).Wiring(); n.Events != nil || n.Subscriptions != nil {
		t.Errorf("a bus without modules has %v", n)
	}
}

// The fields of the contract are those that encoding/json writes.
func TestContractHasTheFieldsOfTheEncoding(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(lent{Reader: &reader{}, Place: &Place{}, Exact: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]any
	if err := json.Unmarshal(data, &written); err != nil {
		t.Fatal(err)
	}
	var contract struct {
		Events map[string]struct{ Fields map[string]string }
	}
	text, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &contract); err != nil {
		t.Fatal(err)
	}
	fields := contract.Events["desk.lent"].Fields
	maps.DeleteFunc(fields, func(path, _ string) bool { return strings.ContainsAny(path, ".[{") })
	if got, want := slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(written)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestContractChanges(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	const (
		broken = "THE CONTRACT IS BROKEN, by "
		fine   = "the contract has changed, compatibly:"
		reader = "\"reader\": \"object\",\n        \"reader.name\": \"string\",\n        \"reader.parents\": \"array\",\n" +
			"        \"reader.parents[]\": \"object, the same as reader\",\n"
	)
	tests := []struct {
		name        string
		now, before string // what is in the file now, and was
		want        []string
	}{
		{"field new", `"open": "boolean",`, ``, []string{fine, "compatible  event desk.lent, field open (boolean) is new: recorded events have the zero value"}},
		{"field gone", `"open": "boolean",`, `"open": "boolean", "shut": "number",`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent, field shut (number) is gone: readers get the zero value, and both have version 3",
		}},
		{"part of a field gone", `"reader.name": "string",`, `"reader.name": "string", "reader.age": "integer",`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent, field reader.age (integer) is gone: readers get the zero value, and both have version 3",
		}},
		{"field renamed", `"books[].pages"`, `"books[].sheets"`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent, field books[].sheets is gone, and books[].pages (integer) is new: renamed? Readers of the old field get the zero value, and both have version 3",
		}},
		{"structure", `"fines": "map",`, `"fines": "string",`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent, field fines is map, was string: readers of one type cannot decode the other, and both have version 3",
		}},
		{"structure new", reader, ``, []string{fine, "compatible  event desk.lent, field reader (object) is new: recorded events have the zero value"}},
		{"version", `"version": 3,`, `"version": 2,`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent has version 3, was 2: recorded events of the old version that are not handled yet become dead letters",
		}},
		{"version with fields", "3,\n      \"emitter\": \"desk\",\n      \"keyed\": true,\n      \"fields\": {", `2, "emitter": "desk", "keyed": true, "fields": {"a": "string",`, []string{
			broken + "1 of 1 change:",
			"BREAKING    event desk.lent has version 3, was 2: recorded events of the old version that are not handled yet become dead letters",
			"              with it, a (string) is gone: readers get the zero value",
		}},
		{"emitter", `"emitter": "mail",`, `"emitter": "post",`, []string{
			fine, "compatible  event mail.reminder comes from mail, was post: consumers do not depend on the emitter",
		}},
		{"key gone", `"keyed": false,`, `"keyed": true,`, []string{
			broken + "1 of 1 change:", "BREAKING    event mail.reminder has no key any more: its events no longer come in order",
		}},
		{"key new", `"keyed": true,`, `"keyed": false,`, []string{
			fine, "compatible  event desk.lent has a key now: its events come in order, and wait for a failed event of the key",
			"compatible  event desk.returned has a key now: its events come in order, and wait for a failed event of the key",
			"compatible  event mail.forgotten has a key now: its events come in order, and wait for a failed event of the key",
		}},
		{"event renamed", `"mail.reminder"`, `"mail.nudge"`, []string{
			broken + "1 of 2 changes:",
			"BREAKING    event mail.nudge is gone, or is called mail.reminder now: its consumers get no more events, and recorded events cannot be read: keep the type",
			"compatible  event mail.reminder is new",
		}},
		{"subscription renamed", `"mail/forget"`, `"mail/lose"`, []string{
			broken + "1 of 2 changes:",
			"BREAKING    subscription mail/lose is gone, or is called mail/forget now, and without Handler.Was handles all recorded events again: its cursor, retries and dead letters have no owner",
			"compatible  subscription mail/forget is new, and starts with the oldest recorded desk.returned unless FromNow is set",
		}},
		{"subscription renamed with Was", `"desk/wonder"`, `"desk/ponder"`, []string{fine, "compatible  subscription desk/ponder is called desk/wonder now, and goes on"}},
		{"subscription renamed that gains a type", `"desk/wonder": "mail.forgotten"`, `"desk/ponder": []`, []string{
			fine, "compatible  subscription desk/ponder is called desk/wonder now, and goes on",
			"compatible  subscription desk/wonder also consumes mail.forgotten, from the oldest recorded event unless FromNow is set",
		}},
		{"subscription gone", `"mail/forget": "desk.returned",`, `"mail/forget": "desk.returned", "mail/old": "desk.returned",`, []string{
			broken + "1 of 1 change:",
			"BREAKING    subscription mail/old is gone: its cursor, retries and dead letters have no owner",
		}},
		{"subscription of another event", `"mail/forget": "desk.returned"`, `"mail/forget": "desk.lent"`, []string{
			broken + "1 of 2 changes:",
			"BREAKING    subscription mail/forget no longer consumes desk.lent: the events that are not handled yet become dead letters",
			"compatible  subscription mail/forget also consumes desk.returned, from the oldest recorded event unless FromNow is set",
		}},
		{"subscription gains a type", `"mail/forget": "desk.returned"`, `"mail/forget": []`, []string{
			fine, "compatible  subscription mail/forget also consumes desk.returned, from the oldest recorded event unless FromNow is set",
		}},
		{"subscription loses a type", `"mail/forget": "desk.returned"`, `"mail/forget": ["desk.lent", "desk.returned"]`, []string{
			broken + "1 of 1 change:",
			"BREAKING    subscription mail/forget no longer consumes desk.lent: the events that are not handled yet become dead letters",
		}},
		{"no contract", `"events"`, `"facts"`, []string{`it holds no contract: json: unknown field "facts"`}},
		{"nothing but the text", `"subscriptions": {`, `"subscriptions":   {`, []string{
			`the contract is the same, but the text differs (- file, + contract)
  …
      }
    },
-   "subscriptions":   {
+   "subscriptions": {
      "desk/wonder": "mail.forgotten",
      "mail/forget": "desk.returned",
  …`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "contract.json")
			before := strings.ReplaceAll(string(file), tt.now, tt.before)
			if before == string(file) {
				t.Fatalf("the file has no %s", tt.now)
			}
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			got := listen(t, func(tb testing.TB) { bustest.Contract(tb, library(), path) })
			want := path + ": " + strings.Join(tt.want, "\n  ") + "\nIf the change is intended, run in the folder of the test: go test -run '^TestContractChanges$' -update"
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestContractIsUpdated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "contract.json")
	t.Run("write", func(t *testing.T) {
		update(t)
		bustest.Contract(t, library(), path)
	})
	bustest.Contract(t, library(), path)
}
