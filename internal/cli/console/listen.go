package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Listen listens on address. The error gives advice.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another address with --http (port 0 for a free port)", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be used by this user: choose a port from 1024 with --http", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --http", address, err)
	}
	return l, nil
}

// HostsOf returns the accepted host names of a server at address: the configured names, and the host of the address.
func HostsOf(address string, configured []string) []string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return configured
	}
	return append([]string{host}, configured...)
}

// UrlOf returns the URL of a listener for a browser on this machine.
func UrlOf(l net.Listener) string {
	at := ListenedOn(l)
	if at.Addr().IsUnspecified() { // all addresses of the machine
		return fmt.Sprintf("http://localhost:%d", at.Port())
	}
	return "http://" + at.String()
}

// ListenedOn returns the address of a listener from Listen, with the actual port.
func ListenedOn(l net.Listener) netip.AddrPort {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
