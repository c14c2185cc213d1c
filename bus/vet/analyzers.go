package vet

import "golang.org/x/tools/go/analysis"

// Analyzers are all analyzers of the package.
var Analyzers = []*analysis.Analyzer{Discard, Nested, Clock, State, Rollback, Rerun}

// Discard reports results of package bus that are thrown away.
var Discard = &analysis.Analyzer{
	Name: "discard",
	Doc: `report results of package bus that are thrown away

bus.Emit, Events.Also, bus.After and the like only return a value. The bus emits the events that a handler or a unit of
work returns: a call whose result is not used loses the events without an error.`,
	Requires: []*analysis.Analyzer{work}, Run: run(discard),
}

// Nested reports calls of Do, Publish and View in handlers and units of work.
var Nested = &analysis.Analyzer{
	Name: "nested",
	Doc: `report calls of Do, Publish and View in handlers and units of work

Events belong to the commit of the handler: the handler returns them. The bus refuses a call of Do or Publish in a
handler, also with another context such as context.Background(). Work with a transaction reads through bus.Tx, because
the snapshot of a View lacks the writes of the transaction. The analyzer follows calls within the package.`,
	Requires: []*analysis.Analyzer{work}, Run: run(nested),
}

// Clock reports times and random values in handlers and units of work that get into events, rows and calls.
var Clock = &analysis.Analyzer{
	Name: "clock",
	Doc: `report times and random values of handlers that get into events and rows

A handler or a unit of work may run again, and must then write and emit the same. bus.Now and bus.NewID return the same
value in each run. The analyzer reports time.Now, math/rand, crypto/rand and packages of random ids when the value gets
into an event or a row, and random values also when they get into a call to the outside.`,
	Requires: []*analysis.Analyzer{work}, Run: run(clock),
}

// State reports handlers that write package variables.
var State = &analysis.Analyzer{
	Name: "state",
	Doc: `report handlers that write package variables

A package variable is lost when the process ends, keeps the value when the transaction is rolled back, and differs
between processes. State of a module belongs into its tables.`,
	Requires: []*analysis.Analyzer{work}, Run: run(state),
}

// Rollback reports Commit and Rollback of a transaction of the bus.
var Rollback = &analysis.Analyzer{
	Name: "rollback",
	Doc: `report Commit and Rollback of a transaction of the bus

The bus commits the transaction of bus.Tx when the work returns no error, and rolls back after an error. Code that has
the *sql.Tx must do neither.`,
	Requires: []*analysis.Analyzer{work}, Run: run(rollback),
}

// Rerun reports units of work that append to a variable of the caller.
var Rerun = &analysis.Analyzer{
	Name: "rerun",
	Doc: `report units of work that append to a variable of the caller

The function of Do and Commit may run twice for one call: then a slice of the caller has the elements twice, and a sum
is too high. Set the variable anew at the start of the function, or return the value from bus.Do.`,
	Requires: []*analysis.Analyzer{work}, Run: run(rerun),
}
