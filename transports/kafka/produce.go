package kafka

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/wire"
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
	limit   int // bytes that a batch may have
	timeout time.Duration
	codec   sarama.CompressionCodec
	used    time.Time

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
	calls []*call // whose record is at the same place of Records
	size  int
}

// keyEncoder hands a key to sarama's partitioner.
type keyEncoder []byte

func (k *keyEncoder) Encode() ([]byte, error) { return *k, nil }
func (k *keyEncoder) Length() int             { return len(*k) }

// newProducer makes topic if it has to, and has a broker give the producer its id.
func (t *Transport) newProducer(ctx context.Context, topic string) (_ *producer, err error) {
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
	p := &producer{
		client: c, topic: topic, limit: limit(c, topic), timeout: min(t.cfg.Timeout, t.cfg.patience), codec: codecs[t.cfg.Compression],
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
		if !pause(ctx, wait) {
			return nil, err
		}
		_ = c.RefreshMetadata(topic) // which gives brokers that did not answer another chance
	}
}

// check says whether one of c's messages is too large for the topic.
func (p *producer) check(c *call) error {
	for i := range c.records {
		r := &c.records[i]
		if size := r.size + batchOverhead; size > p.limit || len(r.Value) > maxPayload {
			return &wire.Refused{At: i, Err: fmt.Errorf("%w: message %d of %d for topic %s has a payload of %d bytes, %d with its headers; the payload may have %d, and all of it %d (max.message.bytes of the topic, or this transport's limit): raise it, or send a reference to what is large",
				ErrTooLarge, i+1, len(c.records), p.topic, len(r.Value), size, maxPayload, p.limit)}
		}
	}
	return nil
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
		if len(b.calls) > 0 && b.size+r.size > min(p.limit, maxPayload) {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		r.OffsetDelta = int64(len(b.calls))
		b.Records, b.calls, b.size = append(b.Records, &r.Record), append(b.calls, c), b.size+r.size
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
	now := time.Now()
	p.used = now
	var pending []*batch
	for _, b := range p.batches {
		if len(b.calls) > 0 {
			b.Version, b.Codec, b.CompressionLevel = 2, p.codec, sarama.CompressionLevelDefault
			b.ProducerID, b.ProducerEpoch, b.FirstSequence = p.id, p.epoch, b.sequence
			b.FirstTimestamp, b.MaxTimestamp, b.LastOffsetDelta = now, now, int32(len(b.calls)-1)
			pending = append(pending, b)
		}
	}
	for wait := retry; ; wait = min(2*wait, 10*retry) {
		err := p.produce(pending)
		pending = slices.DeleteFunc(pending, func(b *batch) bool { return len(b.calls) == 0 })
		switch {
		case len(pending) == 0:
			return nil
		case refused(err):
			return err
		case !pause(ctx, wait):
			return because(ctx, err)
		}
		_ = p.client.RefreshMetadata(p.topic) // or the next try says why not
	}
}

// acknowledged empties b.
func (b *batch) acknowledged() {
	for _, c := range b.calls {
		c.left--
	}
	b.sequence = int32((int64(b.sequence) + int64(len(b.calls))) & math.MaxInt32)
	clear(b.calls)
	clear(b.Records)
	b.RecordBatch, b.calls, b.size = sarama.RecordBatch{Records: b.Records[:0]}, b.calls[:0], batchOverhead
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
				b.acknowledged()
			default:
				reasons.add(block.Err)
			}
		}
	}
	return reasons.join()
}
