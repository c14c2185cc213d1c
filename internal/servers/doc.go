// Package servers gets real servers for tests: Apache Kafka and PostgreSQL, without containers. Each has a script that
// installs and runs one node on loopback, for `make kafka` and `make postgres`, and a function that tells a test its
// address, or skips the test by name when there is none. Nothing that ships imports it.
package servers
