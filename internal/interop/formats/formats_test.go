package formats

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/internal/interop/formats/orderpb"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

func wire(b *bus.Bus, _ *bustest.World) *bus.Module {
	order := b.Module("order").Emits(Placed{})
	bus.On(b.Module("payment"), "charge", func(_ context.Context, e Placed) (bus.Events, error) {
		return bus.Emit(Charged{e.GetOrderId(), e.GetTotalCents()}), nil
	}).Emits(Charged{})
	bus.On(b.Module("shipping").ForOutside(Shipped{}), "ship", func(_ context.Context, e Charged) (bus.Events, error) {
		return bus.Emit(Shipped{OrderID: e.OrderID, Customer: "c-1", Address: "Main Street"}), nil
	}).Emits(Shipped{})
	return order
}

// The flow is the same in one process, and in two processes over a wire.
func TestFlow(t *testing.T) {
	t.Parallel()
	for _, deployables := range [][][]string{nil, {{"order", "shipping"}, {"payment"}}} {
		keys := &encrypt.Ring{}
		if err := keys.Add("c-1", encrypt.NewKey()); err != nil {
			t.Fatal(err)
		}
		bustest.Run(t, bustest.System[*bus.Module]{
			Open: sqlitetest.Open, Wire: wire, Config: bus.Config{Keys: keys}, Deployables: deployables,
			Join: func(at func(string) *bus.Module) *bus.Module { return at("order") },
		}, func(app *bustest.App[*bus.Module]) {
			placed := Placed{&orderpb.Placed{OrderId: "o-1", TotalCents: 1200, Lines: []*orderpb.Line{{Sku: "tea", Quantity: 2}}}}
			app.Must("place", func(ctx context.Context, order *bus.Module) error {
				_, err := order.Publish(bus.Correlate(ctx, "o-1"), placed)
				return err
			})
			app.Flow("o-1").Causes(placed, Charged{Cents: 1200}, Shipped{Address: "Main Street"}).
				Never(Placed{&orderpb.Placed{TotalCents: 1}}, Shipped{Address: "Side Street"})
			for _, e := range app.Flow("o-1").Events() {
				switch e.Type {
				case "order.placed":
					var stored orderpb.Placed
					if err := proto.Unmarshal(e.DataBase64, &stored); err != nil || !proto.Equal(&stored, placed.Placed) || e.Metadata["content-type"] != "application/protobuf" {
						t.Errorf("stored is %v, %q: %v", &stored, e.Metadata, err)
					}
				case "shipping.shipped":
					if bytes.Contains(e.Data, []byte("Main")) || !bytes.Contains(e.Data, []byte(`"readable":{"order_id":"o-1"}`)) {
						t.Errorf("stored is %s", e.Data)
					}
				}
			}
		})
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	b := bus.New(nil, bus.Config{Keys: &encrypt.Ring{}})
	wire(b, nil)
	bustest.Contract(t, b, "testdata/contract.json")
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

// The decoders of both libraries get bytes from outside.
func FuzzDecode(f *testing.F) {
	placed, err := placedCodec.Marshal(Placed{&orderpb.Placed{OrderId: "o-1", TotalCents: 1}})
	if err != nil {
		f.Fatal(err)
	}
	charged, err := chargedCodec.Marshal(Charged{"o-1", 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(placed)
	f.Add(charged)
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Placed
		if placedCodec.Unmarshal(bytes.Clone(data), &p) == nil {
			again, err := placedCodec.Marshal(p)
			var q Placed
			if err != nil || placedCodec.Unmarshal(again, &q) != nil || !proto.Equal(p.Placed, q.Placed) {
				t.Errorf("%q became %v, and then %v: %v", data, p, q, err)
			}
		}
		var c, d Charged
		if chargedCodec.Unmarshal(bytes.Clone(data), &c) == nil {
			again, err := chargedCodec.Marshal(c)
			if err != nil || chargedCodec.Unmarshal(again, &d) != nil || c != d {
				t.Errorf("%q became %v, and then %v: %v", data, c, d, err)
			}
		}
	})
}
