package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/twmb/franz-go/pkg/kfake"
)

const brokerLong = `broker starts a broker with Kafka's protocol in this process, to try --transport kafka without an
installation of Kafka. Acknowledged messages are on disk: after a kill, start the broker again on
the same --data.

The broker is for development and tests, NOT FOR PRODUCTION: one process, without replicas and
passwords, and reachable from this machine only. In production, run Apache Kafka or a compatible
broker.`

const brokerExample = `  {name} broker --data broker.data
  {name} run --modules {module} --transport kafka --brokers 127.0.0.1:9092 --journal one.db
  {name} run --modules {others} --transport kafka --brokers 127.0.0.1:9092 --journal two.db --http 127.0.0.1:8081`

type brokerConfig struct {
	data string
	port int
}

func newBrokerCmd(o *console.Options) *cobra.Command {
	var c brokerConfig
	cmd := &cobra.Command{
		Use: "broker", Short: "Start a small Kafka broker for development, on this machine only",
		Long: brokerLong, Example: brokerExample,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.port < 0 || c.port > 65535 {
				return console.UsageErrorf("--port %d: want 1 to 65535, or 0 for a free port", c.port)
			}
			return c.serve(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&c.data, "data", o.Program.Name+".broker", "folder for the data, created if missing")
	cmd.Flags().IntVar(&c.port, "port", 9092, "port to listen on, at 127.0.0.1; 0 chooses a free port")
	_ = cmd.MarkFlagDirname("data") // only fails for a flag that does not exist
	return cmd
}

// serve runs the broker until ctx ends.
func (c *brokerConfig) serve(ctx context.Context, o *console.Options) (err error) {
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return fmt.Errorf("%w: name a folder for --data that can be written", err)
	}
	lock := flock.New(filepath.Join(c.data, "lock"))
	free, err := lock.TryLock()
	switch {
	case err != nil:
		return fmt.Errorf("lock %s: %w", c.data, err)
	case !free:
		return fmt.Errorf("another broker runs on %s: use that broker, or name another folder with --data", c.data)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(c.port), kfake.DataDir(c.data), kfake.SyncWrites())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d of 127.0.0.1 is in use: stop the other process, or choose another port with --port (0 for a free port)", c.port)
	case err != nil:
		return fmt.Errorf("start the broker on %s: %w", c.data, err)
	}
	defer cluster.Close()
	if err := c.announce(o, strings.Join(cluster.ListenAddrs(), ",")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (c *brokerConfig) announce(o *console.Options, address string) error {
	if o.Json {
		return o.PrintJSON(struct {
			Brokers string `json:"brokers"`
			Data    string `json:"data"`
		}{address, c.data})
	}
	_, err := fmt.Fprintf(o.Stdout, "A broker for development is at %s, NOT FOR PRODUCTION\nThe data is in %s\n", address, c.data)
	return err
}
