package story

// Deployables of the victim, and the kinds of schedules whose deployables are connected by a network.
const (
	Door   = "door"   // modules front and moody
	Ledger = "ledger" // reacts to events of front
	Tail   = "tail"   // reacts to events of ledger

	OverBroker   = "across"
	OverKafka    = "across-kafka"
	OverPostgres = "across-postgres"
)

// Deployables are the processes of a flow across a network, in the order in which events pass through them.
var Deployables = []string{Door, Ledger, Tail}

// Servers are the environment variables that name the servers, by the kinds that need a server.
var Servers = map[string]string{OverKafka: "TROUPE_TEST_KAFKA", OverPostgres: "TROUPE_TEST_POSTGRES"}

// States of a network; "" is the state in which all bytes pass.
const (
	Cut      = "cut"      // ends every connection now; new connections work
	Held     = "held"     // keeps the connections, and no byte arrives
	Refusing = "refusing" // ends every connection, also each new connection at once
)

// Faults at a broker, which no deployable expects.
const (
	LargeRecord   = "swollen" // a record arrives that is large, and small while compressed
	SmallBatches  = "limited" // a topic takes small batches only
	DeleteRecords = "forgets" // the records of a topic and the positions of its readers are deleted
	WebServer     = "web"     // an HTTP server listens at the broker's port, while the broker does not run
	TwinProcess   = "twins"   // in the end, a second process runs on a copy of a journal
)

// Names of the shop's processes.
const (
	Shop   = "shop"   // all modules
	Front  = "front"  // order, inventory, notification
	Back   = "back"   // payment, shipping
	Broker = "broker" // between Front and Back
)
