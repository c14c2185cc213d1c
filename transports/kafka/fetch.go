package kafka

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	// longPoll is how long a broker may wait for messages before it answers with none.
	longPoll = 500 * time.Millisecond
	// shortPoll is the first wait of a request that leaves out a partition, because that partition may soon have room.
	shortPoll = 10 * time.Millisecond
	// fetchBytes is how much of a partition is fetched at once. A message of the largest size fits.
	fetchBytes = maxMessage + 64<<10
	// fetchMost bounds the growth of fetchBytes for a larger batch.
	fetchMost = 64 << 20
)

// chunk is a part of a partition, in order.
type chunk struct {
	packs []pack
	end   int64 // the offset after the chunk
}

// pack is a record batch as Kafka stores it, or a report of a gap.
type pack struct {
	first, end  int64 // offsets: of the first record, and after the last
	from        int64 // earlier records were delivered
	count       int32
	codec       sarama.CompressionCodec
	packed      []byte // the records; with trouble, the beginning of data that cannot be read
	trouble     string // instead of records
	beforeFirst bool   // the trouble is a beginning that was deleted before the first read
	old         bool   // records in a format from before Kafka 0.11
}

// fetcher reads the partitions of a topic that the same broker leads, over its own connection. A broker answers a
// connection's requests in order, and a fetcher mostly waits for messages: it would delay other requests.
type fetcher struct {
	s          *subscription
	leader     string // address of the broker
	partitions []*partition
	wake       chan struct{} // of capacity 1: a partition has room again
	poll       time.Duration // of the next request
	short      time.Duration // of the next request that leaves out a partition
}

// wakeUp wakes the fetcher when a partition has taken its chunk.
func (f *fetcher) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends, and returns nil. It returns earlier with the error of a partition.
func (f *fetcher) run(ctx context.Context) error {
	broker := sarama.NewBroker(f.leader)
	var got *answer // set before sarama's Fetch returns
	if err := broker.Open(f.s.t.sarama(f.s.ctx, func(a *answer) { got = a })); err != nil {
		return err
	}
	defer func() { _ = broker.Close() }() // fails only where broker was not connected
	for ctx.Err() == nil {
		asked := f.choose()
		if len(asked) == 0 {
			select {
			case <-f.wake:
			case <-ctx.Done():
			}
			continue
		}
		started := time.Now()
		_, err := broker.Fetch(f.request(asked))
		if err == nil && got.err != sarama.ErrNoError {
			err = got.err
		}
		var reasons reasons
		for _, p := range asked {
			why := err
			if why == nil {
				why = p.take(got, len(asked) == 1)
			}
			p.noteFetch(started, why)
			reasons.add(why)
		}
		if err := reasons.join(); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the partitions to ask for, and sets how long to wait for their messages.
func (f *fetcher) choose() []*partition {
	var asked []*partition
	unknown := false
	for _, p := range f.partitions {
		if p.hungry() {
			if p.single {
				f.poll = shortPoll
				return []*partition{p}
			}
			asked = append(asked, p)
			unknown = unknown || !p.known
		}
	}
	select {
	case <-f.wake:
		f.short = shortPoll
	default:
	}
	switch {
	case unknown: // Subscribe waits for the first answer
		f.poll = 0
	case len(asked) == len(f.partitions):
		f.poll, f.short = longPoll, shortPoll
	default:
		f.poll, f.short = f.short, min(2*f.short, longPoll)
	}
	return asked
}

// request returns a request for the partitions.
func (f *fetcher) request(partitions []*partition) *sarama.FetchRequest {
	req := &sarama.FetchRequest{
		Version: 12, MinBytes: 1, MaxBytes: fetchMost, MaxWaitTime: int32(f.poll / time.Millisecond),
		Isolation: sarama.ReadCommitted, SessionEpoch: -1, // no session: every request is complete
	}
	for _, p := range partitions {
		req.AddBlock(f.s.topic, p.id, p.offset, p.size, p.epoch)
	}
	return req
}

// noteFetch records the result of a fetch of p that began at started.
func (p *partition) noteFetch(started time.Time, err error) {
	switch {
	case err == nil:
		p.failing = time.Time{}
	case p.failing.IsZero():
		p.failing = started
	}
}

// take hands on the part of an answer that belongs to p. single means that the request was for p alone.
func (p *partition) take(a *answer, single bool) error {
	b := a.blocks[p.id]
	switch {
	case b == nil:
		return sarama.ErrIncompleteResponse
	case b.err == sarama.ErrOffsetOutOfRange:
		return p.gap()
	case b.err != sarama.ErrNoError:
		return b.err
	}
	if !p.known {
		p.known = true
		p.s.partitionReady()
	}
	c, needs, err := p.read(b)
	if err != nil {
		return err
	}
	p.await(b)
	wasSingle := p.single
	p.single = false
	switch {
	case c.end > p.offset:
		p.size = fetchBytes
		p.offset = c.end
		p.feed <- c // has room, as p was hungry
	case needs > 0: // a batch from a producer with larger limits
		p.size = int32(min(needs, fetchMost))
	case p.offset < b.stable && !a.throttled && !single && !wasSingle: // other partitions may have filled the answer
		p.single = true
	}
	return nil
}

// read returns the batches in b, without those of aborted transactions. needs is the size of the next request, when the
// next batch does not fit into one of the present size.
func (p *partition) read(b *block) (c chunk, needs int, err error) {
	c.end = p.offset
	open := map[int64]bool{} // producers, during their aborted transactions
	starts := b.aborted
	slices.SortFunc(starts, func(a, b aborted) int { return cmp.Compare(a.first, b.first) })
	for rest := b.records; len(rest) > 0; {
		h, ok := parseHead(rest)
		if !ok && len(rest) < headSize { // the batch is cut off
			return c, 2 * fetchBytes, nil
		}
		if !ok {
			return c, 0, fmt.Errorf("%s: the broker sent an invalid record batch", positionName(p.s.topic, p.id, c.end))
		}
		if h.size > fetchMost { // larger than any answer
			c.packs = append(c.packs, p.large(h, rest))
			c.end = h.end
			return c, 0, nil
		}
		if h.size > len(rest) {
			return c, h.size, nil
		}
		batch := rest[:h.size]
		rest = rest[h.size:]
		if h.magic < 2 {
			c.old(h)
			continue
		}
		if crc32.Checksum(batch[headCRC:], castagnoli) != h.crc {
			return c, 0, fmt.Errorf("%s: the record batch is damaged: its checksum is wrong", positionName(p.s.topic, p.id, h.first))
		}
		for len(starts) > 0 && starts[0].first < h.end {
			open[starts[0].producer] = true
			starts = starts[1:]
		}
		switch {
		case h.control:
			delete(open, h.producer) // the transaction ends here, committed or aborted
		case h.transactional && open[h.producer], h.count == 0, h.end <= c.end:
		default:
			k := pack{first: h.first, end: h.end, from: c.end, count: h.count, codec: h.codec, packed: batch[headSize:]}
			c.packs = append(c.packs, k)
		}
		c.end = max(c.end, h.end)
	}
	return c, 0, nil
}

// large returns a pack for a batch that is larger than any answer. rest is the beginning of the batch.
func (p *partition) large(h batchHead, rest []byte) pack {
	return pack{first: h.first, end: h.end, from: h.first, packed: rest[:min(len(rest), maxExcerpt)], trouble: fmt.Sprintf(
		"topic %s, partition %d: offsets %d to %d are a single batch of %d bytes, over the limit of %d: the batch is skipped",
		p.s.topic, p.id, h.first, h.end-1, h.size, fetchMost)}
}

// old adds a pack for records in the formats from before Kafka 0.11, which Kafka no longer accepts from producers.
func (c *chunk) old(h batchHead) {
	from := c.end
	if n := len(c.packs); n > 0 && c.packs[n-1].old {
		from, c.packs = c.packs[n-1].first, c.packs[:n-1]
	}
	c.end = max(c.end, h.end)
	c.packs = append(c.packs, pack{first: from, from: from, end: c.end, old: true, trouble: fmt.Sprintf(
		"offsets %d to %d are in a format from before Kafka 0.11, which is not supported: they are skipped", from, c.end-1)})
}

// gap continues at the oldest record when the next record is gone, and reports that in the log and to the subscriber.
func (p *partition) gap() error {
	first, err := p.s.oldest([]int32{p.id})
	if err != nil {
		return err
	}
	e := pack{first: p.offset, from: p.offset, end: first[p.id]}
	switch {
	case e.end == e.first: // the record may have appeared meanwhile
		return sarama.ErrOffsetOutOfRange
	case e.end > e.first:
		e.trouble = fmt.Sprintf("topic %s, partition %d: offsets %d to %d are gone: they were deleted before group %s had read them (by retention, or by an operator); reading continues at %d",
			p.s.topic, p.id, e.first, e.end-1, p.s.group, e.end)
	default:
		e.trouble = fmt.Sprintf("topic %s, partition %d: the position of group %s, offset %d, is after the end: the topic was made anew, or lost its newest messages; reading starts again at the oldest offset, %d; the journals that sent the lost messages still have them: send all of their events again",
			p.s.topic, p.id, p.s.group, e.first, e.end)
	}
	p.s.t.cfg.Logger.Warn("kafka: " + e.trouble)
	p.offset = e.end
	p.feed <- chunk{packs: []pack{e}, end: e.end}
	return nil
}
