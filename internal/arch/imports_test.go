package arch

import (
	"strings"
	"testing"
)

// expectRule expects exactly one violation, of the rule that begins with wants, or no violation if wants is empty.
func expectRule(t *testing.T, found []violation, wants string) {
	t.Helper()
	if wants == "" {
		report(t, found)
		return
	}
	if len(found) != 1 || !strings.HasPrefix(found[0].rule, wants) || found[0].where == "" || found[0].remedy == "" {
		t.Errorf("found %v, want one violation of %q", found, wants)
	}
}

func TestCheckImports(t *testing.T) {
	t.Parallel()
	const (
		contract  = "a contract imports"
		domain    = "a domain module imports"
		handlers  = "handlers/X.go imports"
		bus       = "bus imports"
		belowBus  = "a package below bus"
		testKit   = "bus/bustest imports"
		choice    = "transports imports"
		transport = "transports/Y imports"
		room      = "a room of the journal,"
		cmd       = "no package imports cmd"
		rootRule  = "the root package imports"
		engine    = "the packages that run any program"
		example   = "cmd/troupe imports, of internal,"
		nowhere   = "every Go file lies in"
		leaf      = "internal/oncelog, internal/pause import"
		own       = root + "/"
	)
	tests := []struct{ path, imports, wants string }{
		{"domain/order/orderevents/events.go", "time", ""},
		{"domain/order/orderevents/events.go", own + "bus", contract},
		{"domain/order/orderevents/events.go", own + "domain/order", contract},
		{"domain/order/orderevents/events.go", own + "domain/payment/paymentevents", contract},
		{"domain/order/orderevents/deep/x.go", "github.com/google/uuid", contract},

		{"domain/order/store.go", "database/sql", ""},
		{"domain/order/store.go", own + "domain/order/orderevents", ""},
		{"domain/order/store.go", own + "domain/payment/paymentevents", ""},
		{"domain/order/money/money.go", own + "domain/order", ""},
		{"domain/order/store.go", own + "domain/payment", domain},
		{"domain/order/store.go", own + "domain/payment/ledger", domain},
		{"domain/order/store.go", own + "domain/orders", domain},
		{"domain/order/store.go", own + "bus", domain},
		{"domain/order/store.go", own + "internal/shop/sim", domain},
		{"domain/order/store.go", "github.com/mattn/go-sqlite3", domain},
		{"domain/order/store.go", "C", domain},
		{"domain/addedlater/store.go", own + "domain/addedlater/addedlaterevents", ""},
		{"domain/addedlater/store.go", own + "domain/order", domain},
		{"domain/order/store.go", own + "domain/addedlater", domain},
		{"domain/shared.go", "time", nowhere},

		{"handlers/payment.go", own + "bus", ""},
		{"handlers/payment.go", own + "domain/payment", ""},
		{"handlers/payment.go", own + "domain/order/orderevents", ""},
		{"handlers/payment.go", own + "domain/order", handlers},
		{"handlers/addedlater.go", own + "domain/payment", handlers},
		{"handlers/payment.go", own + "bus/journal", handlers},
		{"handlers/payment.go", own + "transports", handlers},
		{"handlers/payment.go", own + "internal/shop/sim", handlers},
		{"handlers/payment.go", "github.com/ThreeDotsLabs/watermill/message", handlers},
		{"handlers/all.go", own + "domain/payment", handlers},
		{"handlers/payment/payment.go", "time", nowhere},

		{"bus/bus.go", "github.com/ThreeDotsLabs/watermill", ""},
		{"bus/bus.go", "github.com/ThreeDotsLabs/watermill/message/router/middleware", ""},
		{"bus/bus.go", own + "bus/journal", ""},
		{"bus/bus.go", own + "bus/bustest", bus},
		{"bus/bus.go", own + "transports", bus},
		{"bus/bus.go", own + "domain/order/orderevents", bus},
		{"bus/bus.go", own + "handlers", bus},
		{"bus/bus.go", "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql", bus},
		{"bus/journal/journal.go", "github.com/ThreeDotsLabs/watermill/message", ""},
		{"bus/journal/journal.go", own + "bus", belowBus},
		{"bus/journal/journal.go", own + "transports/sqlite", belowBus},
		{"bus/codec/codec.go", own + "bus/encrypt", belowBus},
		{"bus/encrypt/encrypt.go", own + "bus/wire", belowBus},
		{"bus/internal/payload/payload.go", own + "bus/codec", ""},
		{"bus/internal/payload/payload.go", own + "bus", belowBus},
		{"bus/internal/shape/shape.go", own + "bus/codec", belowBus},
		{"bus/bustest/suite.go", own + "bus", ""},
		{"bus/bustest/suite.go", own + "bus/journal", ""},
		{"bus/bustest/suite.go", own + "transports/sqlite", testKit},

		{"bus/wire/relay.go", own + "internal/pause", ""},
		{"transports/kafka/kafka.go", own + "internal/pause", ""},
		{"domain/order/store.go", own + "internal/pause", domain},
		{"internal/pause/pause.go", "context", ""},
		{"internal/pause/pause.go", own + "bus", leaf},

		{"transports/transports.go", own + "transports/kafka", ""},
		{"transports/transports.go", own + "bus", ""},
		{"transports/transports.go", own + "handlers", choice},
		{"transports/other.go", own + "transports/kafka", choice},
		{"transports/kafka/kafka.go", own + "bus/journal", ""},
		{"transports/kafka/kafka.go", "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka", ""},
		{"transports/kafka/wire/wire.go", "github.com/IBM/sarama", ""},
		{"transports/postgres/postgres.go", "github.com/jackc/pgx/v5/stdlib", ""},
		{"transports/sqlite/sqlite.go", "github.com/jackc/pgx/v5/stdlib", transport},
		{"transports/sqlite/sqlite.go", own + "transports/kafka", transport},
		{"transports/sqlite/sqlite.go", own + "bus/bustest", transport},
		{"transports/sqlite/sqlite.go", own + "domain/order", transport},
		{"transports/sqlite/sqlite.go", own + "handlers", transport},
		{"transports/sqlite/internal/reader/flow.go", own + "transports/sqlite/internal/row", ""},
		{"transports/sqlite/internal/reader/flow.go", own + "transports/sqlite/dispatch", ""},
		{"transports/sqlite/internal/reader/flow.go", own + "transports/sqlite", room},
		{"transports/sqlite/internal/reader/flow.go", own + "transports/sqlite/internal/acts", room},
		{"transports/sqlite/internal/addedlater/x.go", own + "transports/sqlite/internal/row", room},
		{"transports/sqlite/internal/commit/writer.go", own + "transports/sqlite/internal/workconn", ""},
		{"transports/sqlite/internal/commit/writer.go", own + "transports/sqlite/internal/schema", room},
		{"transports/sqlite/internal/workconn/face.go", own + "transports/sqlite/internal/commit", room},
		{"transports/sqlite/internal/observer/gaps.go", own + "bus/wire", ""},
		{"transports/sqlite/internal/row/event.go", "github.com/mattn/go-sqlite3", ""},
		{"transports/sqlite/internal/row/event.go", own + "bus/wire", room},
		{"transports/addedlater/nats.go", "github.com/nats-io/nats.go", transport},

		{"cmd/troupe/main.go", own + "transports/sqlite", ""},
		{"cmd/troupe/main.go", own + "domain/order", ""},
		{"cmd/other/main.go", own + "cmd/troupe/run", cmd},
		{"internal/shop/httpapi/api.go", own + "domain/order", ""},
		{"internal/shop/httpapi/api.go", "github.com/anyone/anything", ""},
		{"internal/shop/httpapi/api.go", own + "cmd/troupe", cmd},
		{"handlers/payment.go", own + "cmd/troupe", handlers},

		{"troupe.go", own + "bus", ""},
		{"troupe.go", own + "bus/journal", ""},
		{"troupe.go", own + "transports/sqlite", ""},
		{"troupe.go", own + "internal/cli", ""},
		{"troupe.go", own + "internal/config", ""},
		{"troupe.go", own + "internal/front", ""},
		{"troupe.go", own + "internal/httpserve", rootRule},
		{"troupe.go", own + "internal/shop/books", rootRule},
		{"troupe.go", own + "handlers", rootRule},
		{"troupe.go", own + "domain/order", rootRule},
		{"troupe.go", own + "cmd/troupe", rootRule},
		{"troupe.go", own + "bus/bustest", rootRule},
		{"troupe.go", "github.com/spf13/cobra", rootRule},
		{"other.go", own + "bus", nowhere},

		{"internal/cli/run.go", own + "internal/front", ""},
		{"internal/cli/run.go", "github.com/spf13/cobra", ""},
		{"internal/cli/run.go", own + "handlers", engine},
		{"internal/cli/run.go", own + "internal/shop/books", engine},
		{"internal/cli/run.go", own + "cmd/troupe", engine},
		{"internal/config/load.go", own + "domain/order", engine},
		{"internal/config/load.go", own + "internal/shop/sim", engine},
		{"internal/front/front.go", own + "domain/order/orderevents", engine},
		{"internal/front/front.go", own + "internal/shop/httpapi", engine},
		{"internal/clinic/clinic.go", own + "domain/order", ""},

		{"cmd/troupe/shop.go", root, ""},
		{"cmd/troupe/shop.go", own + "handlers", ""},
		{"cmd/troupe/shop.go", own + "internal/shop/sim", ""},
		{"cmd/troupe/bench.go", own + "internal/bench", ""},
		{"cmd/troupe/shop.go", own + "internal/cli", example},
		{"cmd/troupe/shop.go", own + "internal/config", example},
		{"cmd/troupe/shop.go", own + "internal/servers", example},
		{"cmd/troupe/shop.go", own + "cmd/other", example},

		{"main.go", "fmt", nowhere},
		{"pkg/thing/thing.go", "fmt", nowhere},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.imports, func(t *testing.T) {
			t.Parallel()
			// the second file follows the rules, so that the violation is found among several files
			found := checkImports([]file{{"bus/good.go", []string{"context"}}, {tt.path, []string{"errors", tt.imports}}})
			if len(found) > 0 && !strings.HasPrefix(found[0].where, tt.path) {
				t.Errorf("blames %s", found[0].where)
			}
			expectRule(t, found, tt.wants)
		})
	}
}
