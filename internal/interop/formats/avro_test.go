package formats

import (
	"github.com/hamba/avro/v2"

	"github.com/troupebus/troupe/bus/codec"
)

// Charged is an event in Avro.
type Charged struct {
	OrderID string `avro:"order_id" json:"order_id"`
	Cents   int64  `avro:"cents" json:"cents"`
}

func (Charged) EventType() string       { return "payment.charged" }
func (c Charged) EventKey() string      { return c.OrderID }
func (Charged) EventCodec() codec.Codec { return chargedCodec }

const chargedSchema = `{"type": "record", "name": "Charged", "fields": [
	{"name": "order_id", "type": "string"}, {"name": "cents", "type": "long"}]}`

var chargedCodec = avroCodec[Charged](chargedSchema)

// avroCodec returns the codec of a type with the tags of a schema.
func avroCodec[E any](schema string) codec.Codec {
	parsed := avro.MustParse(schema)
	return codec.New("application/avro", schema,
		func(e E) ([]byte, error) { return avro.Marshal(parsed, e) },
		func(data []byte, into *E) error { return avro.Unmarshal(parsed, data, into) })
}

// Shipped is an event in Avro that is encrypted with the key of the customer. The id of the order stays readable.
type Shipped struct {
	OrderID  string `avro:"order_id" json:"order_id"`
	Customer string `avro:"customer" json:"customer"`
	Address  string `avro:"address" json:"address"`
}

func (Shipped) EventType() string            { return "shipping.shipped" }
func (s Shipped) EventKey() string           { return s.OrderID }
func (s Shipped) EventEncryptionKey() string { return s.Customer }
func (Shipped) EventCodec() codec.Codec      { return shippedCodec }
func (s Shipped) EventReadable() any         { return map[string]string{"order_id": s.OrderID} }

var shippedCodec = avroCodec[Shipped](`{"type": "record", "name": "Shipped", "fields": [
	{"name": "order_id", "type": "string"}, {"name": "customer", "type": "string"}, {"name": "address", "type": "string"}]}`)
