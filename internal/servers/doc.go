// Package servers provides real servers for tests, without containers: Apache Kafka and PostgreSQL. Each has a script
// that installs and runs a node on loopback, for `make kafka` and `make postgres`, and a function that returns the
// address, or skips the test when there is no server. Only tests import the package.
package servers
