package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// The place in a topic is kept in Kafka as a consumer group's offsets, written without being a member (generation -1), as
// sarama's OffsetManager and Kafka's own tools do. So kafka-consumer-groups.sh shows the lag, and can reset it.

// coordinated asks the group's coordinator, and again while that is on the move.
func (s *subscription) coordinated(ctx context.Context, ask func(*sarama.Broker) error) error {
	for {
		coordinator, err := s.client.Coordinator(s.group)
		if err == nil {
			if err = ask(coordinator); err == nil {
				return nil
			}
			var answer sarama.KError
			if !errors.As(err, &answer) {
				_ = coordinator.Close() // it is opened anew when it is next asked for
			}
		}
		if refused(err) {
			return err
		}
		if !pause(ctx, retry) {
			return because(ctx, err)
		}
		_ = s.client.RefreshCoordinator(s.group) // or the next try says why not
	}
}

// committed are the places kept for partitions.
func (s *subscription) committed(ctx context.Context, partitions []int32) (map[int32]kept, error) {
	places := map[int32]kept{}
	err := s.coordinated(ctx, func(b *sarama.Broker) error {
		res, err := b.FetchOffset(sarama.NewOffsetFetchRequest(protocol, s.group, map[string][]int32{s.topic: partitions}))
		if err != nil {
			return err
		}
		answer := res.GroupError()
		if answer != sarama.ErrNoError && answer != sarama.ErrGroupIDNotFound { // which not all brokers say of a group that is new
			return answer
		}
		for _, p := range partitions {
			block := res.GetBlock(s.topic, p)
			switch {
			case answer == sarama.ErrGroupIDNotFound:
				block = &sarama.OffsetFetchResponseBlock{Offset: -1}
			case block == nil:
				return sarama.ErrIncompleteResponse
			case block.Err != sarama.ErrNoError:
				return block.Err
			}
			places[p] = newKept(block)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the place of group %s: %w", s.group, err)
	}
	return places, nil
}

// commit writes places, which are the offsets to read next.
func (s *subscription) commit(ctx context.Context, places map[int32]int64) error {
	mark := s.mark()
	err := s.coordinated(ctx, func(b *sarama.Broker) error {
		req := sarama.NewOffsetCommitRequest(s.client.Config(), s.group)
		for p, offset := range places {
			req.AddBlock(s.topic, p, offset, 0, mark)
		}
		res, err := b.CommitOffset(req)
		if err != nil {
			return err
		}
		for p := range places {
			if answer := res.Errors[s.topic][p]; answer != sarama.ErrNoError {
				return answer
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the place of group %s: %w", s.group, err)
	}
	for id, at := range places {
		s.partition(id).kept = at
	}
	return nil
}

// oldest finds the first offset that each of partitions still has.
func (s *subscription) oldest(partitions []int32) (map[int32]int64, error) {
	requests := map[*sarama.Broker]*sarama.OffsetRequest{}
	for _, p := range partitions {
		leader, err := s.client.Leader(s.topic, p)
		if err != nil {
			return nil, err
		}
		if requests[leader] == nil {
			requests[leader] = sarama.NewOffsetRequest(protocol)
		}
		requests[leader].AddBlock(s.topic, p, sarama.OffsetOldest, 1)
	}
	first := map[int32]int64{}
	for leader, req := range requests {
		res, err := leader.GetAvailableOffsets(req)
		if err != nil {
			_ = leader.Close()
			return nil, err
		}
		for p, block := range res.Blocks[s.topic] {
			if block.Err != sarama.ErrNoError {
				return nil, block.Err
			}
			first[p] = block.Offset
		}
	}
	for _, p := range partitions {
		if _, ok := first[p]; !ok {
			return nil, sarama.ErrIncompleteResponse
		}
	}
	return first, nil
}
