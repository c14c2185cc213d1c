package bench

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// channelBuffer is a size that GoChannel is fastest with: measured, 15 % above the default of 0, and no more behind it.
const channelBuffer = 1024

func workGoChannel(ctx context.Context, j Job) (f Figures, err error) {
	channel := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: channelBuffer}, watermill.NopLogger{})
	m, err := startRouted(ctx, j, pubSub{channel, func(string) (message.Subscriber, error) { return channel, nil }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if f, err = j.timed(ctx, flowsPerSecond, m.flows); err != nil {
		return nil, err
	}
	return f, m.check(j)
}
