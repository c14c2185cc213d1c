package formats

import (
	_ "embed"

	"google.golang.org/protobuf/proto"

	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/internal/interop/formats/orderpb"
)

// Placed is an event with a message that protoc-gen-go made from order.proto.
type Placed struct{ *orderpb.Placed }

func (Placed) EventType() string       { return "order.placed" }
func (p Placed) EventKey() string      { return p.GetOrderId() }
func (Placed) EventCodec() codec.Codec { return placedCodec }

//go:embed orderpb/order.proto
var orderProto string

var placedCodec = codec.New("application/protobuf", orderProto,
	func(e Placed) ([]byte, error) {
		return proto.MarshalOptions{Deterministic: true}.Marshal(e.Placed) // equal events have equal bytes
	},
	func(data []byte, into *Placed) error {
		into.Placed = new(orderpb.Placed)
		return proto.Unmarshal(data, into.Placed)
	})
