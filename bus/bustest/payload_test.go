package bustest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// The clinic: admitted is encrypted for its patient, and billed is in a format of its own.
type (
	admitted struct {
		Patient string `json:"patient"`
		Ill     string `json:"ill"`
	}
	billed struct {
		Patient string `json:"patient"`
		Cents   int    `json:"cents"`
	}
)

func (admitted) EventType() string            { return "ward.admitted" }
func (a admitted) EventKey() string           { return a.Patient }
func (a admitted) EventEncryptionKey() string { return a.Patient }
func (billed) EventType() string              { return "bill.billed" }
func (b billed) EventKey() string             { return b.Patient }
func (billed) EventCodec() codec.Codec        { return billedCodec }

var billedCodec = codec.New("application/x-bill", "cents, patient",
	func(b billed) ([]byte, error) {
		if b.Cents == 13 { // as a map in a format without an order
			return []byte{0xfe, byte(rand.IntN(256)), byte(rand.IntN(256))}, nil
		}
		return append([]byte{0xff, byte(b.Cents)}, b.Patient...), nil
	},
	func(data []byte, into *billed) error {
		if len(data) < 2 {
			return errors.New("no bill")
		}
		*into = billed{string(data[2:]), int(data[1])}
		return nil
	})

func clinic(keys encrypt.Keys) bustest.System[*bus.Module] {
	return bustest.System[*bus.Module]{
		Open:   sqlitetest.Open,
		Config: bus.Config{Keys: keys},
		Wire: func(b *bus.Bus, _ *bustest.World) *bus.Module {
			ward := b.Module("ward").Emits(admitted{}).ForOutside(admitted{})
			bill := b.Module("bill").ForOutside(billed{})
			bus.On(bill, "bill", func(_ context.Context, e admitted) (bus.Events, error) {
				return bus.Emit(billed{e.Patient, len(e.Ill)}), nil
			}).Emits(billed{})
			return ward
		},
	}
}

func admit(app *bustest.App[*bus.Module], patient, ill string) {
	app.Must("admit "+patient, func(ctx context.Context, m *bus.Module) error {
		_, err := m.Publish(bus.Correlate(ctx, patient), admitted{patient, ill})
		return err
	})
}

// MustKeys returns keys for patients.
func MustKeys(tb testing.TB, patients ...string) *encrypt.Ring {
	tb.Helper()
	keys := &encrypt.Ring{}
	for _, p := range patients {
		if err := keys.Add(p, encrypt.NewKey()); err != nil {
			tb.Fatal(err)
		}
	}
	return keys
}

// Flows are checked by the fields of events in every format, and reactions that run again emit the same bytes.
func TestFlowsInOtherFormats(t *testing.T) {
	t.Parallel()
	bustest.Explore(t, clinic(MustKeys(t, "ann")), bustest.Exploration{Schedules: 50}, func(app *bustest.App[*bus.Module]) {
		admit(app, "ann", "flu")
		app.Flow("ann").Causes(admitted{Ill: "flu"}, billed{Patient: "ann", Cents: 3}).Never(admitted{Ill: "cold"}, billed{Cents: 4})
	})
	bustest.Run(t, clinic(MustKeys(t, "ann")), func(app *bustest.App[*bus.Module]) {
		admit(app, "ann", "flu")
		l := &listener{TB: t}
		flow := &journal.Flow{ID: "ann", Events: app.Flow("ann").Events()}
		bustest.FlowOf(l, flow).AtLeast(admitted{}, billed{Cents: 3}).AtLeast(admitted{Ill: "flu"}).Exactly(admitted{})
		said := strings.Join(l.said, "\n")
		for _, want := range []string{
			`decode ward.admitted: encrypt: no key: the payload is encrypted with key "ann", and the program has no keys: set Config.Keys`,
			"+ bill.billed application/x-bill, 5 bytes: ff03616e6e",
		} {
			if !strings.Contains(said, want) {
				t.Errorf("%s lacks %s", said, want)
			}
		}
		if len(l.said) != 2 {
			t.Errorf("said %d things: %s", len(l.said), said)
		}
	})
}

// A codec that writes an event in another way each time is found.
func TestCodecThatVaries(t *testing.T) {
	t.Parallel()
	found := bustest.Search(t, clinic(MustKeys(t, "ann")), bustest.Exploration{Schedules: 5}, func(app *bustest.App[*bus.Module]) {
		admit(app, "ann", "seasick again")
	})
	if text := strings.Join(found.Wrong, "\n"); !strings.Contains(text, "emitted bill.billed application/x-bill, 3 bytes: fe") {
		t.Errorf("found %q", found.Wrong)
	}
}

// A contract has the content type, the schema and the encryption of a type.
func TestContractOfOtherFormats(t *testing.T) {
	t.Parallel()
	b := bus.New(nil, bus.Config{Keys: MustKeys(t)})
	clinic(nil).Wire(b, nil)
	name := filepath.Join("testdata", "contract_formats.json")
	bustest.Contract(t, b, name)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ now, before, want string }{
		{`application/x-bill`, `text/x-bill`, "BREAKING    event bill.billed is application/x-bill, was text/x-bill: other programs cannot read"},
		{`cents, patient`, `patient`, "BREAKING    event bill.billed has another schema, and both have version 1: check"},
		{`"encrypted": true`, `"encrypted": false`, "BREAKING    event ward.admitted is encrypted: other programs need the keys"},
		{`"keyed": true,`, `"keyed": true, "encrypted": true,`, "compatible  event bill.billed is not encrypted any more"},
	} {
		path := filepath.Join(t.TempDir(), "contract.json")
		before := strings.ReplaceAll(string(file), tt.now, tt.before)
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil || before == string(file) {
			t.Fatalf("the file has no %s: %v", tt.now, err)
		}
		got := listen(t, func(tb testing.TB) { bustest.Contract(tb, b, path) })
		if !strings.Contains(got, tt.want) || strings.Count(got, "  event ") != 1 {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
