// Package wiretest checks transports against the contract of wire.Transport. Transport and Positions run the suite.
// Broker is a transport in the memory of a test, and works in virtual time.
package wiretest
