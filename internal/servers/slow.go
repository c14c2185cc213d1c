package servers

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// DialSlow returns a dialer whose connections delay every answer.
func DialSlow(takes time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // has accepted its one connection
		var near, far, server net.Conn
		for _, step := range []func() error{
			func() error { near, err = new(net.Dialer).DialContext(ctx, network, l.Addr().String()); return err },
			func() error { far, err = l.Accept(); return err },
			func() error { server, err = new(net.Dialer).DialContext(ctx, network, address); return err },
		} {
			if err := step(); err != nil {
				return nil, err
			}
		}
		go func() {
			_, _ = io.Copy(server, far) // until either end closes
			_ = server.Close()
		}()
		go func() {
			for answer, err := make([]byte, 1<<20), error(nil); err == nil; {
				var n int
				n, err = server.Read(answer)
				<-time.After(takes)
				_, lost := far.Write(answer[:n])
				err = errors.Join(err, lost)
			}
			_ = far.Close()
		}()
		return near, nil
	}
}
