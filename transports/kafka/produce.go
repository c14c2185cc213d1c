package kafka

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/pause"
)

// producer is an idempotent producer for a topic, on sarama's requests.
//
// Sarama has a producer of its own, and watermill-kafka a Publisher on top. Neither keeps the order: when they give up
// on a batch, or miss its leader for a moment, they continue with the next batch. After that, sending everything again,
// as the relay does, would put the second event of a key before the first. This producer stops instead. For each
// partition it has a single numbered batch in flight, and sends no other before that batch is acknowledged. It is also
// several times as fast, because messages have no channel each to wait on.
type producer struct {
	client  *client
	topic   string
	id      int64
	epoch   int16
	t       *Transport
	room    *room // of the lane
	timeout time.Duration
	codec   sarama.CompressionCodec
	used    time.Time
	looked  time.Time // when the topic's settings were last read
	stamp   time.Time // time of the records in a flush

	partitioner sarama.Partitioner
	probe       sarama.ProducerMessage // the argument for partitioner
	key         keyEncoder             // the key of probe
	next        int32                  // partition of the next record without a key
	batches     []*batch               // by partition
}

// batch collects records for a partition, and has the next number of the producer's sequence there.
type batch struct {
	partition int32
	sequence  int32 // of the first record
	sarama.RecordBatch
	calls []*call // calls[i] is the call of all[i]
	size  int
	all   []*sarama.Record // Records is the first part, which is sent at once
	at    []int            // all[i] is record at[i] of calls[i]
	half  bool             // the broker refused Records as too large
}

// keyEncoder passes a key to sarama's partitioner.
type keyEncoder []byte

// Encode implements sarama.Encoder.
func (k *keyEncoder) Encode() ([]byte, error) { return *k, nil }

// Length implements sarama.Encoder.
func (k *keyEncoder) Length() int { return len(*k) }

// newProducer creates topic where needed, and gets a producer id from a broker.
func (t *Transport) newProducer(ctx context.Context, topic string, room *room) (_ *producer, err error) {
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	stop := c.cutWhenDone(ctx)
	defer func() {
		if !stop() {
			err = withCause(ctx, err)
		}
		if err != nil {
			c.close()
		}
	}()
	if err := t.ensure(ctx, c, topic); err != nil {
		return nil, err
	}
	at := time.Now()
	settings, err := t.inspect(c, topic)
	if err != nil {
		return nil, err
	}
	if settings.known || room.limit == 0 {
		room.limit, room.at = settings.limit, at
	}
	p := &producer{
		client: c, topic: topic, t: t, room: room, timeout: min(t.cfg.Timeout, t.patience()),
		codec: codecs[t.cfg.Compression], looked: time.Now(),
		partitioner: sarama.NewMurmur2Partitioner(topic), // Java's clients choose the same partition for a key
	}
	for wait := retry; ; wait = min(2*wait, 10*retry) {
		res, err := c.InitProducerID()
		if err == nil && res.Err == sarama.ErrNoError {
			p.id, p.epoch = res.ProducerID, res.ProducerEpoch
			return p, nil
		}
		if err == nil {
			err = res.Err
		}
		if permanent(err) {
			return nil, err
		}
		if !pause.For(ctx, wait) {
			return nil, err
		}
		_ = c.RefreshMetadata(topic) // brokers that did not answer get another chance
	}
}

// check returns an error when a message of c is too large for the topic.
func (p *producer) check(c *call) error {
	for i := range c.records {
		r := &c.records[i]
		if len(r.Value) > maxPayload || !p.room.allows(r.size+batchOverhead, p, c.arrived) {
			return p.refuse(c, i)
		}
	}
	return nil
}

// refuse returns the error for c when its message i is too large.
func (p *producer) refuse(c *call, i int) error {
	r := &c.records[i]
	return &wire.Refused{At: i, Err: fmt.Errorf("%w: message %d of %d for topic %s has a payload of %d bytes, %d with its headers; the limits are %d and %d (max.message.bytes of the topic, or this transport's): raise max.message.bytes, or send a reference to the large data",
		ErrTooLarge, i+1, len(c.records), p.topic, len(r.Value), r.size+batchOverhead, maxPayload, p.room.limit)}
}

// add puts the records of c into batches, and sends full batches.
func (p *producer) add(ctx context.Context, c *call) error {
	partitions, err := p.client.Partitions(p.topic)
	if err != nil {
		return err
	}
	for len(p.batches) < len(partitions) {
		p.batches = append(p.batches, &batch{partition: partitions[len(p.batches)], size: batchOverhead})
	}
	for i := range c.records {
		r := &c.records[i]
		b := p.batches[p.partition(r.Key, int32(len(partitions)))]
		if len(b.calls) > 0 && b.size+r.size > min(p.room.limit, maxPayload) {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		b.all, b.calls, b.at, b.size = append(b.all, &r.Record), append(b.calls, c), append(b.at, i), b.size+r.size
	}
	return nil
}

// partition returns the partition for a key, out of n. Records without a key take turns.
func (p *producer) partition(key []byte, n int32) int32 {
	if key == nil {
		p.next = (p.next + 1) % n
		return p.next
	}
	p.key, p.probe.Key = key, &p.key
	choice, _ := p.partitioner.Partition(&p.probe, n) // fails only where the key cannot be encoded
	return choice
}

// flush sends all batches, and returns when they are acknowledged. After an error, p must not be used again.
func (p *producer) flush(ctx context.Context) error {
	p.used, p.stamp = time.Now(), p.t.now()
	var pending []*batch
	for _, b := range p.batches {
		if len(b.calls) > 0 {
			p.seal(b, len(b.all))
			pending = append(pending, b)
		}
	}
	for wait, before := retry, error(nil); ; wait = min(2*wait, 10*retry) {
		err := p.produce(pending)
		pending = slices.DeleteFunc(pending, func(b *batch) bool { return len(b.calls) == 0 })
		if len(pending) == 0 {
			return nil
		}
		if refusal := p.halve(pending); refusal != nil {
			return refusal
		}
		switch {
		case err == nil: // a part of a batch is acknowledged, or a batch was halved
			continue
		case permanent(err):
			return err
		case ctx.Err() != nil && before != nil: // this try was cut short, and its error says less
			return withCause(ctx, before)
		case !pause.For(ctx, wait):
			return withCause(ctx, err)
		}
		before = err
		_ = p.client.RefreshMetadata(p.topic) // a failure shows in the next try
	}
}

// seal prepares b for sending, with the first n of its records.
func (p *producer) seal(b *batch, n int) {
	b.RecordBatch = sarama.RecordBatch{
		Version: 2, Codec: p.codec, CompressionLevel: sarama.CompressionLevelDefault,
		Records: b.all[:n], LastOffsetDelta: int32(n - 1),
		ProducerID: p.id, ProducerEpoch: p.epoch, FirstSequence: b.sequence, FirstTimestamp: p.stamp, MaxTimestamp: p.stamp,
	}
	for i, r := range b.Records {
		r.OffsetDelta = int64(i)
	}
}

// halve prepares the batches that the broker refused as too large for sending in halves. When a single record is too
// large, halve sets the error of its call and returns it, a wire.Refused.
func (p *producer) halve(batches []*batch) error {
	for _, b := range batches {
		if !b.half {
			continue
		}
		b.half = false
		if n := len(b.Records); n > 1 {
			p.seal(b, n/2)
			continue
		}
		c, i := b.calls[0], b.at[0]
		p.room.limit, p.room.at = min(p.room.limit, c.records[i].size+batchOverhead-1), p.used
		c.err = p.refuse(c, i)
		return c.err
	}
	return nil
}

// acknowledged removes the records that were sent from b.
func (p *producer) acknowledged(b *batch) {
	n := len(b.Records)
	for _, c := range b.calls[:n] {
		c.left--
	}
	b.sequence = int32((int64(b.sequence) + int64(n)) & math.MaxInt32)
	if n < len(b.all) {
		b.all, b.calls, b.at = b.all[n:], b.calls[n:], b.at[n:]
		p.seal(b, min(n, len(b.all)))
		return
	}
	clear(b.calls)
	clear(b.all)
	b.RecordBatch, b.all, b.calls, b.at, b.size = sarama.RecordBatch{}, b.all[:0], b.calls[:0], b.at[:0], batchOverhead
}

// produce sends each batch once, to its leader. Batches that still have records may be sent again after a transient
// error.
func (p *producer) produce(batches []*batch) error {
	var reasons reasons
	requests := map[*sarama.Broker]*sarama.ProduceRequest{}
	for _, b := range batches {
		leader, err := p.client.Leader(p.topic, b.partition)
		if err != nil {
			reasons.add(err)
			continue
		}
		if requests[leader] == nil {
			requests[leader] = &sarama.ProduceRequest{
				Version: 9, RequiredAcks: sarama.WaitForAll, Timeout: int32(p.timeout / time.Millisecond),
			}
		}
		requests[leader].AddBatch(p.topic, b.partition, &b.RecordBatch)
	}
	answers := make(chan map[int32]*sarama.ProduceResponseBlock, len(requests))
	for leader, request := range requests {
		send := func() {
			res, err := leader.Produce(request)
			if err != nil {
				_ = leader.Close() // the next user opens it again
				reasons.add(err)
				res = &sarama.ProduceResponse{}
			}
			answers <- res.Blocks[p.topic]
		}
		if len(requests) == 1 {
			send()
		} else {
			go send()
		}
	}
	for range requests {
		answer := <-answers
		for _, b := range batches {
			switch block := answer[b.partition]; {
			case block == nil:
			// A duplicate was stored by an earlier try, but the answer was lost.
			case block.Err == sarama.ErrNoError, block.Err == sarama.ErrDuplicateSequenceNumber:
				p.acknowledged(b)
				if !block.Timestamp.IsZero() {
					p.t.compareClock(block.Timestamp)
				}
			case block.Err == sarama.ErrMessageSizeTooLarge, block.Err == sarama.ErrMessageSetSizeTooLarge:
				b.half = true // nothing was stored
			default:
				reasons.add(block.Err)
			}
		}
	}
	return reasons.join()
}
