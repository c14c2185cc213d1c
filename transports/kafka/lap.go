package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
)

// errRecreated means that the topic was deleted, and created again under the same name. The subscription ends, and the
// next one decides where to begin (startAt).
var errRecreated = errors.New("the topic was made anew")

// leaders maps each broker to the partitions that it leads.
type leaders map[*sarama.Broker][]*partition

// read runs laps until ctx ends, and returns nil. It returns errors that are permanent or last longer than the
// patience.
func (s *subscription) read(l leaders) error {
	for {
		err := s.lap(l)
		for retrying := true; retrying; retrying = err != nil {
			switch {
			case s.ctx.Err() != nil:
				return nil
			case err == nil:
			case errors.Is(err, errRecreated), permanent(err) || s.failing() > s.t.patience():
				return err
			default:
				pause.For(s.ctx, 2*retry)
			}
			started := time.Now()
			if err = s.t.refresh(s.client(), s.topic); err == nil {
				var id string
				if id, err = s.client().identity(s.topic); err == nil && id != s.id {
					err = errRecreated
				}
			}
			if err == nil {
				l, err = s.layout(s.ctx)
			}
			if err != nil {
				for _, p := range s.partitions { // only this goroutine adds partitions
					p.noteFetch(started, err)
				}
			}
		}
	}
}

// failing returns for how long a partition has been failing.
func (s *subscription) failing() time.Duration {
	var longest time.Duration
	for _, p := range s.partitions {
		if !p.failing.IsZero() {
			longest = max(longest, time.Since(p.failing))
		}
	}
	return longest
}

// lap reads from l until ctx ends, a leader changes or a fetch fails. It returns the errors of the fetchers.
func (s *subscription) lap(l leaders) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	ended := make(chan error, len(l))
	for leader, partitions := range l {
		f := &fetcher{s: s, leader: leader.Addr(), partitions: partitions, wake: make(chan struct{}, 1), short: shortPoll}
		for _, p := range partitions {
			p.fetcher.Store(f)
		}
		go func() { ended <- f.run(ctx) }()
	}
	look := time.NewTicker(s.t.cfg.Refresh)
	defer look.Stop()
	var reasons reasons
	for running := len(l); running > 0; {
		select {
		case err := <-ended:
			running--
			cancel()
			reasons.add(err)
		case <-look.C: // sarama refreshes the metadata
			if s.t.warned.Has(s.topic, foreignTime) {
				_, _ = s.t.inspect(s.client(), s.topic) // an operator may have changed the setting
			}
			if id, err := s.client().identity(s.topic); err == nil && id != s.id {
				reasons.add(errRecreated)
				cancel()
			} else if s.moved(l) {
				cancel()
			}
		}
	}
	return reasons.join()
}

// moved reports whether sarama's metadata differ from l.
func (s *subscription) moved(l leaders) bool {
	ids, err := s.client().Partitions(s.topic)
	if err != nil || len(ids) != len(s.partitions) {
		return true
	}
	for leader, partitions := range l {
		for _, p := range partitions {
			if now, err := s.client().Leader(s.topic, p.id); err != nil || now.ID() != leader.ID() {
				return true
			}
		}
	}
	return false
}

// layout returns the leaders of the partitions, and begins new partitions.
func (s *subscription) layout(ctx context.Context) (leaders, error) {
	ids, err := s.client().Partitions(s.topic)
	if err != nil {
		return nil, err
	}
	fresh := slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return s.partition(id) != nil })
	if len(fresh) > 0 {
		if err := s.begin(ctx, fresh); err != nil {
			return nil, err
		}
	}
	l := leaders{}
	for _, id := range ids {
		leader, epoch, err := s.client().LeaderAndEpoch(s.topic, id)
		if err != nil {
			return nil, err
		}
		p := s.partition(id)
		p.epoch = epoch
		l[leader] = append(l[leader], p)
	}
	return l, nil
}

// begin starts partitions at their stored offsets, or else at their oldest messages.
func (s *subscription) begin(ctx context.Context, ids []int32) error {
	positions, err := s.committed(ctx, ids)
	if err != nil {
		return err
	}
	if err := s.claim(positions, s.t.self.First(s.topic, s.group)); err != nil {
		return err
	}
	noted, err := s.noted(ctx)
	if err != nil {
		return err
	}
	oldest, err := s.oldest(ids)
	if err != nil {
		return err
	}
	s.unknown.Add(int32(len(ids)))
	for _, id := range ids {
		k := positions[id]
		n, ok := noted[id]
		at := s.startAt(id, k, n, ok, oldest[id])
		from := at.From.Offset()
		p := &partition{
			s: s, id: id, feed: make(chan chunk, 2), kept: k.offset, offset: from, size: fetchBytes, names: map[string]string{},
		}
		if !s.t.self.Wrote(k.mark) {
			p.kept = -1
		}
		p.end = p.offset
		p.at.Store(p.offset)
		p.startTaken.Store(at.Trouble == "")
		if at.Trouble != "" {
			p.kept = -1
			s.warn(id, at.Trouble)
			report := pack{first: from, from: from, end: from, trouble: at.Trouble, beforeFirst: at.First}
			p.feed <- chunk{packs: []pack{report}, end: from}
		}
		s.mu.Lock()
		s.partitions[id] = p
		s.mu.Unlock()
		s.wg.Go(func() { p.run(s.ctx) })
	}
	return nil
}
