// Package wiretest holds a transport to the contract of wire.Transport. Transport runs the suite. Broker is a transport in the memory
// of a test, which works in virtual time.
package wiretest
