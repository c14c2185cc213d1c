// Package wiretest checks transports against the contract of wire.Transport: Transport and Positions run the suite.
// Broker is a transport in a test's memory, in virtual time. Package wiretest is a seam: minor versions may change it.
package wiretest
