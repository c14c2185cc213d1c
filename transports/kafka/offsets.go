package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
)

// Positions are stored in Kafka as the offsets of a consumer group. They are committed without being a member
// (generation -1), as sarama's OffsetManager and Kafka's own tools do. So kafka-consumer-groups.sh shows the lag, and
// can reset the offsets.

// keeper commits and reads offsets under the name of a group.
type keeper struct {
	client *client
	group  string
}

// coordinated calls ask with the group's coordinator, and again while the coordinator moves.
func (k keeper) coordinated(ctx context.Context, ask func(*sarama.Broker) error) error {
	for {
		coordinator, err := k.client.Coordinator(k.group)
		if err == nil {
			if err = ask(coordinator); err == nil {
				return nil
			}
			var answer sarama.KError
			if !errors.As(err, &answer) {
				_ = coordinator.Close() // the next user opens it again
			}
		}
		if permanent(err) {
			return err
		}
		if !pause.For(ctx, retry) {
			return withCause(ctx, err)
		}
		_ = k.client.RefreshCoordinator(k.group) // a failure shows in the next try
	}
}

// committed returns the offsets that are stored for partitions of topic.
func (k keeper) committed(ctx context.Context, topic string, partitions []int32) (map[int32]kept, error) {
	positions := map[int32]kept{}
	err := k.coordinated(ctx, func(b *sarama.Broker) error {
		res, err := b.FetchOffset(sarama.NewOffsetFetchRequest(protocol, k.group, map[string][]int32{topic: partitions}))
		if err != nil {
			return err
		}
		answer := res.GroupError()
		// Only some brokers answer with ErrGroupIDNotFound for a new group.
		if answer != sarama.ErrNoError && answer != sarama.ErrGroupIDNotFound {
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
			positions[p] = newKept(block)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the offsets of group %s: %w", k.group, err)
	}
	return positions, nil
}

// commit stores offsets in topic, each the next offset to read, with a mark.
func (k keeper) commit(ctx context.Context, topic string, positions map[int32]int64, mark string) error {
	err := k.coordinated(ctx, func(b *sarama.Broker) error {
		req := sarama.NewOffsetCommitRequest(k.client.Config(), k.group)
		for p, offset := range positions {
			req.AddBlock(topic, p, offset, 0, mark)
		}
		res, err := b.CommitOffset(req)
		if err != nil {
			return err
		}
		for p := range positions {
			if answer := res.Errors[topic][p]; answer != sarama.ErrNoError {
				return answer
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit the offsets of group %s: %w", k.group, err)
	}
	return nil
}

func (s *subscription) keeper() keeper { return keeper{s.client(), s.group} }

func (s *subscription) committed(ctx context.Context, partitions []int32) (map[int32]kept, error) {
	return s.keeper().committed(ctx, s.topic, partitions)
}

func (s *subscription) commit(ctx context.Context, positions map[int32]int64) error {
	if err := s.keeper().commit(ctx, s.topic, positions, s.mark()); err != nil {
		return err
	}
	for id, at := range positions {
		s.partition(id).kept = at
	}
	return nil
}

// oldest returns the first offset of each partition that still exists.
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
