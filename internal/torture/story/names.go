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
	Compacted     = "compact" // a topic of the door is compacted, and so cannot be written
)

// Faults that come in the end, when no work is left.
const (
	TwinProcess = "twins"    // a second process runs on a copy of a journal
	Restored    = "restored" // a backup takes the place of a journal
	Transaction = "open"     // a transaction of another program stays open
	OtherBytes  = "bytes"    // an event has the id of another event, and other data
	LowLimit    = "low"      // a topic takes no event, and then takes all events again
	Remade      = "remade"   // a topic is deleted and created again, twice
	Dump        = "dump"     // a copy of the database takes the place of the database
	Unobserved  = "unseen"   // events are deleted before an observer has read the events
	Hoard       = "hoard"    // much that is small while compressed comes while the disk of the reader fails
)

// Older is the mood of a start of an older program, which has fewer subscriptions.
const Older = "older"

// AwayFile is the journal of the modules that are split from the shop, as commands name the file.
const AwayFile = "disk/away.db"

// Names of the shop's processes.
const (
	Shop   = "shop"   // all modules
	Front  = "front"  // order, inventory, notification
	Back   = "back"   // payment, shipping
	Broker = "broker" // between Front and Back

	Observer = "observer" // reads all events of Front and Back
)
