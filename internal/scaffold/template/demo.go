package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/scaffold/template/signup"
)

// demo returns the command demo: the program accepts made-up requests, and all modules handle them.
func demo() troupe.Command[doors] {
	var count int
	return troupe.Command[doors]{
		Name: "demo", Short: "Accept made-up requests, and wait for what follows",
		Example: "  {name} demo --requests 100\n  {name} trace demo-1 --journal demo.db",
		Journal: "demo.db",
		Flags: func(f *flag.FlagSet) {
			f.IntVar(&count, "requests", 3, "how many requests are accepted, demo-1 being the first")
		},
		Check: func(args []string) error {
			if count < 1 {
				return errors.New("--requests wants 1 or more")
			}
			return nil
		},
		Run: func(ctx context.Context, c *troupe.Call[doors]) error {
			added := 0
			for i := range count {
				id := fmt.Sprintf("demo-%d", i+1)
				fresh, err := c.Doors.signup.Accept(ctx, signup.Request{ID: id, Address: id + "@mail.test"})
				if err != nil {
					return err
				}
				if fresh {
					added++
				}
			}
			if err := c.Bus.Quiet(ctx); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.Out, "%d requests were accepted, %d of them now; everything that follows is done\n",
				count, added)
			return err
		},
	}
}
