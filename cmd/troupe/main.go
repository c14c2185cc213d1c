// Command troupe runs the shop: five modules that react to each other's events. It is an example of a program on
// package troupe, and a tool for the journal of any such program.
package main

import (
	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/shop/books"
)

const long = `troupe runs a shop of five independent modules: order, inventory, payment, shipping and
notification only react to events. A journal, an SQLite file, has all events and reactions,
and shows for every business flow its state, its causes and its next steps. Each module can
run in a process of its own, over Kafka or Postgres.

troupe also reads, splits and repairs the journal of any other program made with package troupe.`

const example = `  troupe demo                              # run hundreds of orders, and audit the results
  troupe run --journal shop.db             # serve the shop on http://127.0.0.1:8080
  troupe trace ORDER --journal shop.db     # the flow of an order as a tree`

func main() { troupe.Main(newShop().app()) }

// app returns the shop as a program.
func (s *shop) app() troupe.App[doors] {
	return troupe.App[doors]{
		Name: "troupe", Short: "An event bus for modular monoliths, and a shop that runs on it", Long: long, Example: example,
		Settings: &s.settings,
		Open:     s.open,
		Wire:     s.wire,
		HTTP:     s.routes,
		Books:    troupe.Books{Tables: books.Tables, Pages: books.Pages, Observed: books.Observe},
		Moved:    moveWorld,
		Commands: []troupe.Command[doors]{s.demoCommand(), s.importCommand(), benchCommand(), workerCommand(), newCommand()},
	}
}
