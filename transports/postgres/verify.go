package postgres

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// unverified returns the host that a connection may go to without the server having proved that it is that host; "" where there is none.
// A server on this machine need not prove it.
func unverified(config *pgx.ConnConfig) string {
	if !isHere(config.Host) && !proves(config.TLSConfig) {
		return config.Host
	}
	for _, f := range config.Fallbacks { // sslmode=prefer, which is the default, goes on without encryption
		if !isHere(f.Host) && !proves(f.TLSConfig) {
			return f.Host
		}
	}
	return ""
}

// proves reports whether the server needs a certificate that somebody trusted has signed.
func proves(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// isHere reports whether a host is this machine.
func isHere(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// checkVerified is an error where a connection would leave this machine without the server having to prove who it is.
func (c Config) checkVerified(at *pgx.ConnConfig) error {
	host := unverified(at)
	if host == "" || c.Insecure {
		return nil
	}
	return fmt.Errorf("field URL leads to %s without verifying who answers there, so that others on the network could read and change every event:"+
		" add sslmode=verify-full, with sslrootcert=FILE where the system does not trust the server's certificate, or set Insecure", host)
}
