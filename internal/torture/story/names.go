package story

// Deployables of the victim, and the kinds of schedules in which a wire connects them.
const (
	Door   = "door"   // front, moody
	Ledger = "ledger" // reacts to what front emits
	Tail   = "tail"   // reacts to what ledger emits

	OverBroker   = "across"
	OverKafka    = "across-kafka"
	OverPostgres = "across-postgres"
)

// deployables are those of a flow across a wire, in the order in which events pass them.
var Deployables = []string{Door, Ledger, Tail}

// carriers are the environment variables that name the servers of some kinds.
var Servers = map[string]string{OverKafka: "TROUPE_TEST_KAFKA", OverPostgres: "TROUPE_TEST_POSTGRES"}

// How a network may be.
const (
	Cut      = "cut"      // every connection ends now; new ones are carried
	Held     = "held"     // connections stay, and no byte arrives
	Refusing = "refusing" // every connection ends, and each new one at once
)

// What somebody may do at the broker behind everybody's back.
const (
	LargeRecord   = "swollen" // a record comes that is large, and small while it is packed
	SmallBatches  = "limited" // a topic takes small batches only
	DeleteRecords = "forgets" // what is in a topic is deleted, and so are the positions of its readers
	WebServer     = "web"     // an HTTP server listens at the broker's port, while the broker does not run
	TwinProcess   = "twins"   // in the end, a second process runs on a copy of a journal
)

// Names of the shop's processes.
const (
	Shop   = "shop"   // all modules
	Front  = "front"  // order, inventory, notification
	Back   = "back"   // payment, shipping
	Broker = "broker" // between these two
)
