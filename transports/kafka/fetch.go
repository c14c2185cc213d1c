package kafka

import (
	"cmp"
	"context"
	"fmt"
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
	entries []entry
	end     int64 // the offset behind it
}

// entry is a record, or the news of a gap.
type entry struct {
	record  *sarama.Record
	trouble string
	offset  int64
	next    int64
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
	if err := broker.Open(f.s.sarama); err != nil {
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
		res, err := broker.Fetch(f.request(asked))
		var reasons reasons
		for _, p := range asked {
			why := err
			if why == nil {
				why = p.take(res, len(asked) == 1)
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
func (p *partition) take(res *sarama.FetchResponse, alone bool) error {
	block := res.GetBlock(p.s.topic, p.id)
	switch {
	case block == nil:
		return sarama.ErrIncompleteResponse
	case block.Err == sarama.ErrOffsetOutOfRange:
		return p.gap()
	case block.Err != sarama.ErrNoError:
		return block.Err
	}
	if !p.known {
		p.known = true
		p.s.reached()
	}
	c, partial := p.read(block)
	p.alone = false
	switch {
	case c.end > p.offset:
		p.size = fetchBytes
		p.offset = c.end
		p.feed <- c // it was hungry
	case partial: // a batch of somebody with larger limits
		if p.size == fetchMost {
			return fmt.Errorf("a batch at %s is larger than %d bytes, which is as much as is read at once", place(p.s.topic, p.id, p.offset), fetchMost)
		}
		p.size = min(2*p.size, fetchMost)
	case p.offset >= block.LastStableOffset || res.ThrottleTime > 0:
	case alone:
		return p.skip()
	default: // others may have used up the answer; or a batch comes next from which everything was compacted away
		p.alone = true
	}
	return nil
}

// skip goes on behind batches that have no records left: sarama's consumer knows where they end, but does not tell.
func (p *partition) skip() error {
	consumer, err := sarama.NewConsumerFromClient(p.s.client)
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }() // closes nothing: the client is ours
	from, err := consumer.ConsumePartition(p.s.topic, p.id, p.offset)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // says what it could not read, which is told by the next fetch
	timer := time.NewTimer(longPoll)
	defer timer.Stop()
	select {
	case m := <-from.Messages():
		if m != nil {
			p.offset = m.Offset
		}
	case <-timer.C: // there is nothing behind them yet
	case <-p.s.ctx.Done():
	}
	return nil
}

// read takes the records of committed transactions, and those of none, out of block.
func (p *partition) read(block *sarama.FetchResponseBlock) (c chunk, partial bool) {
	c.end = p.offset
	aborted := map[int64]bool{} // producers, while their aborted transaction lasts
	starts := block.AbortedTransactions
	slices.SortFunc(starts, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	for _, set := range block.RecordsSet {
		b := set.RecordBatch
		if b == nil {
			c.old(set.MsgSet)
			continue
		}
		if b.PartialTrailingRecord {
			return c, true
		}
		for len(starts) > 0 && starts[0].FirstOffset <= b.LastOffset() {
			aborted[starts[0].ProducerID] = true
			starts = starts[1:]
		}
		switch {
		case b.Control:
			delete(aborted, b.ProducerID) // its transaction ends here, one way or the other
		case b.IsTransactional && aborted[b.ProducerID]:
		default:
			c.entries = slices.Grow(c.entries, len(b.Records))
			for _, r := range b.Records {
				if at := b.FirstOffset + r.OffsetDelta; at >= p.offset {
					c.entries = append(c.entries, entry{record: r, offset: at, next: at + 1})
				}
			}
		}
		c.end = b.LastOffset() + 1
	}
	return c, block.Partial
}

// old stands in for records in the formats that Kafka wrote before 0.11, and no longer takes.
func (c *chunk) old(set *sarama.MessageSet) {
	if set == nil || len(set.Messages) == 0 {
		return
	}
	end := set.Messages[len(set.Messages)-1].Offset + 1
	c.entries = append(c.entries, entry{offset: c.end, next: end, trouble: fmt.Sprintf(
		"offsets %d to %d are in a format from before Kafka 0.11, which this program does not read", c.end, end-1)})
	c.end = end
}

// gap goes on at the oldest record when the one that comes next is not there, and says so.
func (p *partition) gap() error {
	first, err := p.s.oldest([]int32{p.id})
	if err != nil {
		return err
	}
	e := entry{offset: p.offset, next: first[p.id]}
	switch {
	case e.next == e.offset: // it may be there by now
		return sarama.ErrOffsetOutOfRange
	case e.next > e.offset:
		e.trouble = fmt.Sprintf("topic %s, partition %d: offsets %d to %d are gone: they were deleted before group %s had read them (retention, or somebody); read on at %d",
			p.s.topic, p.id, e.offset, e.next-1, p.s.group, e.next)
	default:
		e.trouble = fmt.Sprintf("topic %s, partition %d: the place of group %s, offset %d, lies behind the end: the topic was made anew, or lost its newest messages; read again from the oldest, %d",
			p.s.topic, p.id, p.s.group, e.offset, e.next)
	}
	p.s.t.cfg.Logger.Warn("kafka: " + e.trouble)
	p.offset = e.next
	p.feed <- chunk{entries: []entry{e}, end: e.next}
	return nil
}
