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
	// longPoll is how long a broker may wait for messages before it answers that there are none.
	longPoll = 500 * time.Millisecond
	// shortPoll is the same while one of the partitions is not asked for, which may change.
	shortPoll = 10 * time.Millisecond
	// fetchBytes is how much of a partition is fetched at once. A message of the largest size fits.
	fetchBytes = maxMessage + 64<<10
	// fetchMost bounds how far that grows for a batch that does not fit.
	fetchMost = 64 << 20
)

// chunk is a part of a partition, in its order.
type chunk struct {
	packs []pack
	end   int64 // the offset behind it
}

// pack is a record batch as Kafka stores it, or the news of a gap.
type pack struct {
	first, end int64 // offsets: of its first record, and behind it
	from       int64 // what is before this was delivered
	count      int32
	codec      sarama.CompressionCodec
	packed     []byte // its records; with trouble, the beginning of what cannot be read
	trouble    string // instead of records
	begins     bool   // the trouble is that the beginning was deleted before the first read
	old        bool   // they are in a format of before Kafka 0.11
}

// fetcher reads the partitions of a topic that one broker leads, over a connection of its own: a broker answers one request
// of a connection at a time, and this one mostly waits for messages.
type fetcher struct {
	s          *subscription
	leader     string // its address
	partitions []*partition
	wake       chan struct{} // of capacity 1: a partition is hungry again
	poll       time.Duration // of the next request
	short      time.Duration // of the next one that leaves a partition out
}

// fed is called when a partition has taken its chunk.
func (f *fetcher) fed() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends, and returns nil, or until something is wrong with one of the partitions.
func (f *fetcher) run(ctx context.Context) error {
	broker := sarama.NewBroker(f.leader)
	var got *answer // sarama's Fetch returns after it was set
	if err := broker.Open(f.s.t.sarama(f.s.ctx, func(a *answer) { got = a })); err != nil {
		return err
	}
	defer func() { _ = broker.Close() }() // says only that it was not connected
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
			p.tell(started, why)
			reasons.add(why)
		}
		if err := reasons.join(); err != nil {
			return err
		}
	}
	return nil
}

// choose picks the partitions to ask for, and how long to wait for their messages.
func (f *fetcher) choose() []*partition {
	var asked []*partition
	unknown := false
	for _, p := range f.partitions {
		if p.hungry() {
			if p.alone {
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
	case unknown: // somebody waits in Subscribe
		f.poll = 0
	case len(asked) == len(f.partitions):
		f.poll, f.short = longPoll, shortPoll
	default:
		f.poll, f.short = f.short, min(2*f.short, longPoll)
	}
	return asked
}

// request asks for partitions.
func (f *fetcher) request(partitions []*partition) *sarama.FetchRequest {
	req := &sarama.FetchRequest{
		Version: 12, MinBytes: 1, MaxBytes: fetchMost, MaxWaitTime: int32(f.poll / time.Millisecond),
		Isolation: sarama.ReadCommitted, SessionEpoch: -1, // every request says all
	}
	for _, p := range partitions {
		req.AddBlock(f.s.topic, p.id, p.offset, p.size, p.epoch)
	}
	return req
}

// tell notes how a fetch of p went that started then.
func (p *partition) tell(started time.Time, err error) {
	switch {
	case err == nil:
		p.failing = time.Time{}
	case p.failing.IsZero():
		p.failing = started
	}
}

// take hands what a broker answered on. With alone, it was asked for nothing but p.
func (p *partition) take(a *answer, alone bool) error {
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
		p.s.reached()
	}
	c, needs, err := p.read(b)
	if err != nil {
		return err
	}
	p.await(b)
	wasAlone := p.alone
	p.alone = false
	switch {
	case c.end > p.offset:
		p.size = fetchBytes
		p.offset = c.end
		p.feed <- c // it was hungry
	case needs > 0: // a batch of somebody with larger limits
		p.size = int32(min(needs, fetchMost))
	case p.offset < b.stable && !a.throttled && !alone && !wasAlone: // others may have used up the answer
		p.alone = true
	}
	return nil
}

// read takes the batches of committed transactions, and those of none, out of b. Needs is how much has to be asked for to get the
// next one, where that is more than was.
func (p *partition) read(b *block) (c chunk, needs int, err error) {
	c.end = p.offset
	open := map[int64]bool{} // producers, while their aborted transaction lasts
	starts := b.aborted
	slices.SortFunc(starts, func(a, b aborted) int { return cmp.Compare(a.first, b.first) })
	for rest := b.records; len(rest) > 0; {
		h, ok := parseHead(rest)
		if !ok && len(rest) < headSize { // cut off
			return c, 2 * fetchBytes, nil
		}
		if !ok {
			return c, 0, fmt.Errorf("%s: what the broker sends is no record batch", place(p.s.topic, p.id, c.end))
		}
		if h.size > fetchMost { // it would not fit into any answer
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
			return c, 0, fmt.Errorf("%s: the batch is damaged: its checksum is wrong", place(p.s.topic, p.id, h.first))
		}
		for len(starts) > 0 && starts[0].first < h.end {
			open[starts[0].producer] = true
			starts = starts[1:]
		}
		switch {
		case h.control:
			delete(open, h.producer) // its transaction ends here, one way or the other
		case h.transactional && open[h.producer], h.count == 0, h.end <= c.end:
		default:
			c.packs = append(c.packs, pack{first: h.first, end: h.end, from: c.end, count: h.count, codec: h.codec, packed: batch[headSize:]})
		}
		c.end = max(c.end, h.end)
	}
	return c, 0, nil
}

// large stands in for a batch that is larger than anything that is fetched, of which rest is the beginning.
func (p *partition) large(h batchHead, rest []byte) pack {
	return pack{first: h.first, end: h.end, from: h.first, packed: rest[:min(len(rest), beginning)], trouble: fmt.Sprintf(
		"topic %s, partition %d: offsets %d to %d are one batch of %d bytes, more than the %d that are fetched at once: it is not read",
		p.s.topic, p.id, h.first, h.end-1, h.size, fetchMost)}
}

// old stands in for records in the formats that Kafka wrote before 0.11, and no longer takes.
func (c *chunk) old(h batchHead) {
	from := c.end
	if n := len(c.packs); n > 0 && c.packs[n-1].old {
		from, c.packs = c.packs[n-1].first, c.packs[:n-1]
	}
	c.end = max(c.end, h.end)
	c.packs = append(c.packs, pack{first: from, from: from, end: c.end, old: true, trouble: fmt.Sprintf(
		"offsets %d to %d are in a format from before Kafka 0.11, which this program does not read", from, c.end-1)})
}

// gap goes on at the oldest record when the one that comes next is not there, and says so.
func (p *partition) gap() error {
	first, err := p.s.oldest([]int32{p.id})
	if err != nil {
		return err
	}
	e := pack{first: p.offset, from: p.offset, end: first[p.id]}
	switch {
	case e.end == e.first: // it may be there by now
		return sarama.ErrOffsetOutOfRange
	case e.end > e.first:
		e.trouble = fmt.Sprintf("topic %s, partition %d: offsets %d to %d are gone: they were deleted before group %s had read them (retention, or somebody); read on at %d",
			p.s.topic, p.id, e.first, e.end-1, p.s.group, e.end)
	default:
		e.trouble = fmt.Sprintf("topic %s, partition %d: the place of group %s, offset %d, lies behind the end: the topic was made anew, or lost its newest messages; read again from the oldest, %d",
			p.s.topic, p.id, p.s.group, e.first, e.end)
	}
	p.s.t.cfg.Logger.Warn("kafka: " + e.trouble)
	p.offset = e.end
	p.feed <- chunk{packs: []pack{e}, end: e.end}
	return nil
}
