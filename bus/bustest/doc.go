// Package bustest tests whole flows: the real modules on the real bus, journal and SQL, in one process, in virtual
// time.
//
// Run starts the modules. The test acts, waits until the system is quiet, and checks the flow. Retries, timers and
// deadlines of days pass in milliseconds.
//
// Explore runs the same test under many schedules. A seed decides which ready reaction runs next, where the process
// crashes, which delivery is repeated, and which external call fails, hangs, or succeeds although its answer is lost.
// Explore shrinks a failing schedule, and prints a story and a line to replay the failure. On request, a schedule also
// places the acts of other processes on the journals, steps of the wall clock, and shared commits. Explore can repeat
// all schedules in other time zones.
//
// Run and Explore check the rules of any program on a bus: every event has an answer, a reaction that runs again on the
// same state emits the same events, a repeated call has the same idempotency key, a module uses only its own tables,
// and no work is left over. Both also check the application's own books.
//
// A System may run as several deployables over a transport, each with its own journal. By default, a wiretest.Broker
// carries the messages in the memory of the test, and therefore in virtual time. Explore then also decides what each
// deployable takes in next, and which deployable crashes.
//
// The package imports the standard library, Watermill's core, and bus with the packages below it. The caller supplies
// the journal, for example from transports/sqlite/sqlitetest.
//
// Package bustest is a promise: no minor version breaks a program that uses the package.
package bustest
