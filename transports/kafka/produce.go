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

// producer is an idempotent producer for one topic, on sarama's requests.
//
// Sarama has one of its own, and watermill-kafka a Publisher on it, but they may not be used here: when they give up on a
// batch, or cannot find its leader for a moment, they go on with the next one. Whoever then sends all again, as the
// relay does, would have the second event of a key before the first. This one stops: of a partition it has one batch under
// way at a time, numbered, and never sends another before that is acknowledged. It also gives a message no channel
// to wait at, which makes it several times as fast.
type producer struct {
	client  *client
	topic   string
	id      int64
	epoch   int16
	t       *Transport
	room    *room // the lane's
	timeout time.Duration
	codec   sarama.CompressionCodec
	used    time.Time
	looked  time.Time // at the topic's settings, lately
	stamp   time.Time // of the records of one flush

	partitioner sarama.Partitioner
	probe       sarama.ProducerMessage // what it is asked with
	key         keyEncoder             // its key
	next        int32                  // partition of the next record without a key
	batches     []*batch               // by partition
}

// batch is what is collected for a partition, and its place in the producer's sequence there.
type batch struct {
	partition int32
	sequence  int32 // of the first record
	sarama.RecordBatch
	calls []*call // whose record is at the same place of all
	size  int
	all   []*sarama.Record // of which Records is the beginning that the broker takes at once
	at    []int            // their places in their calls
	half  bool             // the broker did not take Records: they are too many for a batch
}

// keyEncoder hands a key to sarama's partitioner.
type keyEncoder []byte

// Encode implements sarama.Encoder.
func (k *keyEncoder) Encode() ([]byte, error) { return *k, nil }

// Length implements sarama.Encoder.
func (k *keyEncoder) Length() int { return len(*k) }

// newProducer makes topic if it has to, and has a broker give the producer its id.
func (t *Transport) newProducer(ctx context.Context, topic string, room *room) (_ *producer, err error) {
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	stop := c.until(ctx)
	defer func() {
		if !stop() {
			err = because(ctx, err)
		}
		if err != nil {
			c.close()
		}
	}()
	if err := t.ensure(ctx, c, topic); err != nil {
		return nil, err
	}
	known, err := t.inspect(c, topic)
	if err != nil {
		return nil, err
	}
	room.ask(known)
	p := &producer{
		client: c, topic: topic, t: t, room: room, timeout: min(t.cfg.Timeout, t.patience()), codec: codecs[t.cfg.Compression], looked: time.Now(),
		partitioner: sarama.NewMurmur2Partitioner(topic), // as Java's clients do: both put a key on the same partition
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
		if refused(err) {
			return nil, err
		}
		if !pause.For(ctx, wait) {
			return nil, err
		}
		_ = c.RefreshMetadata(topic) // which gives brokers that did not answer another chance
	}
}

// check says whether one of c's messages is too large for the topic.
func (p *producer) check(c *call) error {
	for i := range c.records {
		r := &c.records[i]
		if size := r.size + batchOverhead; len(r.Value) > maxPayload || size > p.room.limit && size > p.room.again(p) {
			return p.refuse(c, i)
		}
	}
	return nil
}

// refuse is the answer to c whose message i is too large.
func (p *producer) refuse(c *call, i int) error {
	r := &c.records[i]
	return &wire.Refused{At: i, Err: fmt.Errorf("%w: message %d of %d for topic %s has a payload of %d bytes, %d with its headers; the payload may have %d, and all of it %d (max.message.bytes of the topic, or this transport's limit): raise it, or send a reference to what is large",
		ErrTooLarge, i+1, len(c.records), p.topic, len(r.Value), r.size+batchOverhead, maxPayload, p.room.limit)}
}

// add puts c's records into their partitions' batches, and sends what is full.
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

// partition is where a record of key belongs, of n. Those without a key take turns.
func (p *producer) partition(key []byte, n int32) int32 {
	if key == nil {
		p.next = (p.next + 1) % n
		return p.next
	}
	p.key, p.probe.Key = key, &p.key
	choice, _ := p.partitioner.Partition(&p.probe, n) // fails only where the key cannot be encoded
	return choice
}

// flush sends all batches, and returns when they are acknowledged. After an error p must not be used again.
func (p *producer) flush(ctx context.Context) error {
	p.used, p.stamp = time.Now(), p.t.now()
	var pending []*batch
	for _, b := range p.batches {
		if len(b.calls) > 0 {
			p.seal(b, len(b.all))
			pending = append(pending, b)
		}
	}
	for wait := retry; ; wait = min(2*wait, 10*retry) {
		err := p.produce(pending)
		pending = slices.DeleteFunc(pending, func(b *batch) bool { return len(b.calls) == 0 })
		if len(pending) == 0 {
			return nil
		}
		if refusal := p.halve(pending); refusal != nil {
			return refusal
		}
		switch {
		case err == nil: // some of a batch is acknowledged, or it is sent in halves
			continue
		case refused(err):
			return err
		case !pause.For(ctx, wait):
			return because(ctx, err)
		}
		_ = p.client.RefreshMetadata(p.topic) // or the next try says why not
	}
}

// seal makes b ready to be sent, with the first n of its records.
func (p *producer) seal(b *batch, n int) {
	b.RecordBatch = sarama.RecordBatch{
		Version: 2, Codec: p.codec, CompressionLevel: sarama.CompressionLevelDefault, Records: b.all[:n], LastOffsetDelta: int32(n - 1),
		ProducerID: p.id, ProducerEpoch: p.epoch, FirstSequence: b.sequence, FirstTimestamp: p.stamp, MaxTimestamp: p.stamp,
	}
	for i, r := range b.Records {
		r.OffsetDelta = int64(i)
	}
}

// halve has batches that the broker found too large sent in halves. The answer to the call of a record that is too large by itself is
// set; then it returns a wire.Refused.
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
		p.room.learn(c.records[i].size + batchOverhead - 1)
		c.err = p.refuse(c, i)
		return c.err
	}
	return nil
}

// acknowledged takes what was sent out of b.
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

// produce sends each of batches once, to its leader. Those that it leaves filled may be sent again unless the error is refused.
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
				_ = leader.Close() // it is opened anew when it is next asked for
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
			case block.Err == sarama.ErrNoError, block.Err == sarama.ErrDuplicateSequenceNumber: // stored before, but the answer was lost
				p.acknowledged(b)
				if !block.Timestamp.IsZero() {
					p.t.compare(block.Timestamp)
				}
			case block.Err == sarama.ErrMessageSizeTooLarge, block.Err == sarama.ErrMessageSetSizeTooLarge:
				b.half = true // nothing of it was taken
			default:
				reasons.add(block.Err)
			}
		}
	}
	return reasons.join()
}
