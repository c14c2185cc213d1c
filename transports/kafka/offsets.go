package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
)

// The place in a topic is kept in Kafka as a consumer group's offsets, written without being a member (generation -1), as
// sarama's OffsetManager and Kafka's own tools do. So kafka-consumer-groups.sh shows the lag, and can reset it.

// keeper keeps places in topics under the name of a group.
type keeper struct {
	client *client
	group  string
}

// coordinated asks the group's coordinator, and again while that is on the move.
func (k keeper) coordinated(ctx context.Context, ask func(*sarama.Broker) error) error {
	for {
		coordinator, err := k.client.Coordinator(k.group)
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
		if !pause.For(ctx, retry) {
			return because(ctx, err)
		}
		_ = k.client.RefreshCoordinator(k.group) // or the next try says why not
	}
}

// committed are the places kept for partitions of topic.
func (k keeper) committed(ctx context.Context, topic string, partitions []int32) (map[int32]kept, error) {
	places := map[int32]kept{}
	err := k.coordinated(ctx, func(b *sarama.Broker) error {
		res, err := b.FetchOffset(sarama.NewOffsetFetchRequest(protocol, k.group, map[string][]int32{topic: partitions}))
		if err != nil {
			return err
		}
		answer := res.GroupError()
		if answer != sarama.ErrNoError && answer != sarama.ErrGroupIDNotFound { // which not all brokers say of a group that is new
			return answer
		}
		for _, p := range partitions {
			block := res.GetBlock(topic, p)
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
		return nil, fmt.Errorf("read the place of group %s: %w", k.group, err)
	}
	return places, nil
}

// commit writes places in topic, which are the offsets to read next, with a mark.
func (k keeper) commit(ctx context.Context, topic string, places map[int32]int64, mark string) error {
	err := k.coordinated(ctx, func(b *sarama.Broker) error {
		req := sarama.NewOffsetCommitRequest(k.client.Config(), k.group)
		for p, offset := range places {
			req.AddBlock(topic, p, offset, 0, mark)
		}
		res, err := b.CommitOffset(req)
		if err != nil {
			return err
		}
		for p := range places {
			if answer := res.Errors[topic][p]; answer != sarama.ErrNoError {
				return answer
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the place of group %s: %w", k.group, err)
	}
	return nil
}

func (s *subscription) keeper() keeper { return keeper{s.client(), s.group} }

// committed are the places kept for partitions.
func (s *subscription) committed(ctx context.Context, partitions []int32) (map[int32]kept, error) {
	return s.keeper().committed(ctx, s.topic, partitions)
}

// commit writes places.
func (s *subscription) commit(ctx context.Context, places map[int32]int64) error {
	if err := s.keeper().commit(ctx, s.topic, places, s.mark()); err != nil {
		return err
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
		leader, err := s.client().Leader(s.topic, p)
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
