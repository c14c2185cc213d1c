// Package bustest tests whole flows: the real modules on the real bus, journal and SQL, in one process, in virtual time.
//
// Run starts the modules, lets a test do something, wait until everything is quiet, and say what must have happened.
// Retries, timers and deadlines of days pass in milliseconds. Explore runs the same test under many schedules: it decides
// from a seed which ready reaction runs next, where the process crashes, which delivery comes twice, and which call to
// the outside fails, hangs, or succeeds unheard. What breaks is shrunk, and printed as a story with the line that
// replays it.
//
// Where a test asks, it decides as well what other processes and people do to the journals meanwhile, when the wall clock is set,
// and what shares a commit; and it does all of it once more in other time zones.
//
// Both hold every run against what must be so of any program on a bus: every event has one answer, a reaction that runs
// again on the same state emits the same, a call that is repeated carries the same idempotency key, no module touches
// another's tables, nothing is left over; and against the application's own books.
//
// A System may run as several deployables, each with a journal of its own, over a transport: a wiretest.Broker carries messages in the
// memory of the test, and so in virtual time. Explore decides then what each of them takes in next, and which of them dies.
//
// The package imports the standard library, Watermill's core and bus. The journal comes from outside, such as from
// transports/sqlite/sqlitetest.
package bustest
