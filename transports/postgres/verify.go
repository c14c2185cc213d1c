package postgres

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// unverified returns a host to which a connection may go without verifying the server, or "". A server on this machine
// needs no verification.
func unverified(config *pgx.ConnConfig) string {
	if !isLocal(config.Host) && !verifies(config.TLSConfig) {
		return config.Host
	}
	for _, f := range config.Fallbacks { // sslmode=prefer, the default, falls back to no encryption
		if !isLocal(f.Host) && !verifies(f.TLSConfig) {
			return f.Host
		}
	}
	return ""
}

// verifies reports whether c verifies the server's certificate.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// isLocal reports whether a host is this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// checkVerified returns an error when a connection would leave this machine without verifying the server.
func (c Config) checkVerified(at *pgx.ConnConfig) error {
	host := unverified(at)
	if host == "" || c.Insecure {
		return nil
	}
	return fmt.Errorf("field URL connects to %s without verifying the server, so that others on the network could read and change every event:"+
		" add sslmode=verify-full, with sslrootcert=FILE where the system does not trust the server's certificate, or set Insecure", host)
}
