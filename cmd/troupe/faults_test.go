package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/servers"
)

// faultCounts has the number of faults of each kind.
type faultCounts struct {
	kills, perAudit int // kills of a process; number between two audits
	brokerKills     int
	both            int
	partitions      int
	storm           time.Duration
	flips           int
	nodeKills       int // kills of one broker of three
}

var (
	allFaults = faultCounts{kills: 100, perAudit: 20, brokerKills: 10, both: 5, partitions: 8, storm: 30 * time.Second, flips: 4, nodeKills: 9}
	someFault = faultCounts{kills: 12, perAudit: 12, brokerKills: 2, both: 1, partitions: 2, storm: 4 * time.Second, flips: 1}
)

// TestFaults runs the shop as five processes over a real Kafka, under load, and causes all kinds of faults. After
// each kind the load stops: then every order must end once, and all books must agree.
//
// New leaders of partitions need several brokers. Only a run with all faults tests them; otherwise the transport's
// own test does (TestRealCluster).
// transport's own test has to do (TestRealCluster).
func TestFaults(t *testing.T) {
	counts := someFault
	switch {
	case os.Getenv("TROUPE_FAULTS") == "full":
		counts = allFaults
	case os.Getenv("TROUPE_TEST_KAFKA") == "":
		t.Skip("TestFaults needs a real Kafka of its own: make faults runs all of it; with TROUPE_TEST_KAFKA set, go test runs some")
	}
	seed := rand.Uint64()
	if s := os.Getenv("TROUPE_FAULTS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("TROUPE_FAULTS_SEED: %v", err)
		}
	}
	t.Logf("TROUPE_FAULTS_SEED=%d", seed)
	network := MustProxy(t)
	kafka := servers.OwnKafka(t, network.address())
	network.lead(kafka.Proxied)
	f := &faults{faultCounts: counts, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), kafka: kafka, network: network}
	f.binary = MustBuild(t, t.TempDir())
	t.Run("five processes", f.five)
	t.Run("the flag flips", f.flip)
	if f.nodeKills > 0 {
		t.Run("leaders are killed", f.cluster)
	}
}

// faults causes the faults of a shop.
type faults struct {
	faultCounts
	seed    uint64
	random  *rand.Rand
	kafka   *servers.KafkaNode
	network *proxy
	binary  string

	prefix    string
	shop      *deployed
	customers *customers
}

var modulesOfShop = []string{"order", "inventory", "payment", "shipping", "notification"}

// MustOpen creates a shop with topics of its own, which does not run yet.
func (f *faults) MustOpen(t *testing.T) {
	t.Helper()
	f.prefix = fmt.Sprintf("faults-%x", f.random.Uint32())
	f.shop = &deployed{dir: t.TempDir(), binary: f.binary}
	f.customers = newCustomers(f.shop, f.seed)
	t.Cleanup(f.shop.kill)
}

// over returns the flags with which a deployable uses the broker at an address.
func (f *faults) over(address string) []string {
	return []string{"--transport", "kafka", "--brokers", address, "--prefix", f.prefix, "--seed", strconv.FormatUint(f.seed%1000, 10)}
}

// five runs the shop of five processes under one kind of fault after the other.
func (f *faults) five(t *testing.T) {
	f.MustOpen(t)
	for _, m := range modulesOfShop {
		f.shop.add(m, m+".db", f.over(f.kafka.Address)...)
	}
	f.shop.MustStart(t)
	f.customers.mustDeliver(t, f.seed)
	f.customers.mustBeReady(t)
	for _, kind := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"processes are killed", f.killProcesses},
		{"the broker is killed", f.killBroker},
		{"both are killed", f.killBoth},
		{"the network is parted", f.partNetwork},
		{"foreign members join the groups", f.storm},
	} {
		if !t.Run(kind.name, kind.run) {
			return // later rounds would repeat the failure
		}
	}
	t.Run("at the end", func(t *testing.T) {
		f.shop.MustStop(t)
		is := f.shop.MustAudit(t, f.customers)
		t.Logf("%v; %d requests failed and were repeated, %d cancels and returns; %d events were sent again",
			is, f.customers.asked, f.customers.undone, f.compareTopics(t))
		for _, d := range f.shop.all {
			t.Logf("%s was up %s after a start", d.modules, spread(d.took))
		}
	})
}

// underLoad runs fn while customers place orders, and audits the shop afterwards.
func (f *faults) underLoad(t *testing.T, fn func()) {
	t.Helper()
	leave := f.customers.come(t)
	was, began := f.customers.count(), time.Now()
	func() {
		defer leave()
		fn()
	}()
	placed, took := f.customers.count()-was, time.Since(began)
	is := f.shop.MustAudit(t, f.customers)
	t.Logf("%d orders in %v; now %v", placed, took.Round(100*time.Millisecond), is)
}

// pause waits for up to d.
func (f *faults) pause(d time.Duration) { <-time.After(time.Duration(f.random.Int64N(int64(d)))) }

func (f *faults) anyone() *deployable { return f.shop.all[f.random.IntN(len(f.shop.all))] }

// killProcesses kills one process after the other. Each starts again at once, and may be killed while it starts.
func (f *faults) killProcesses(t *testing.T) {
	hits := map[string]int{} // by the state of the process
	var d *deployable
	for killed := 0; killed < f.kills; {
		f.underLoad(t, func() {
			for range min(f.perAudit, f.kills-killed) {
				if d == nil || f.random.IntN(4) > 0 { // else the same process again, while it starts
					d = f.anyone()
					f.pause(1200 * time.Millisecond)
				}
				f.pause(200 * time.Millisecond)
				hits[d.kill()]++
				d.MustStart(t)
				killed++
			}
			f.customers.mustBeReady(t)
		})
	}
	t.Logf("killed %d times: %v", f.kills, hits)
}

// killBroker kills the broker. The shop accepts orders all the time, and the process that accepts orders can be
// stopped and started.
func (f *faults) killBroker(t *testing.T) {
	var starts, back []time.Duration
	for killed := 0; killed < f.brokerKills; {
		f.underLoad(t, func() {
			for range min(5, f.brokerKills-killed) {
				f.pause(2 * time.Second)
				f.mustKillKafka(t)
				f.mustTakeOrders(t)
				d := f.shop.runningModule("order") // keeps unsent events, also after a graceful stop
				d.stop(t)
				d.MustStart(t)
				d.mustBeUp(t)
				f.pause(2 * time.Second)
				began := time.Now()
				f.mustStartKafka(t)
				starts = append(starts, time.Since(began))
				back = append(back, f.mustRecover(t))
				killed++
			}
		})
	}
	t.Logf("killed %d times; it answered %s after its start, and all links went on %s after that", f.brokerKills, spread(starts), spread(back))
}

func (f *faults) mustKillKafka(t *testing.T) {
	t.Helper()
	if err := f.kafka.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (f *faults) mustStartKafka(t *testing.T) {
	t.Helper()
	if err := f.kafka.Start(); err != nil {
		t.Fatal(err)
	}
}

// mustTakeOrders waits until the shop accepts an order that was requested after the call.
func (f *faults) mustTakeOrders(t *testing.T) {
	t.Helper()
	was := f.customers.count() + customersAtOnce // may have been requested before
	for began := time.Now(); f.customers.count() <= was; <-time.After(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("no orders are taken\n%s", f.shop.tails(20))
		}
	}
}

// mustRecover returns the time until all links work.
func (f *faults) mustRecover(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	f.customers.mustBeReady(t)
	return time.Since(began)
}

// killBoth kills a process and the broker. The process comes back first, and does the work that needs no other
// process.
func (f *faults) killBoth(t *testing.T) {
	var back []time.Duration
	f.underLoad(t, func() {
		for range f.both {
			f.pause(time.Second)
			d := f.anyone()
			var dying sync.WaitGroup
			dying.Go(func() { d.kill() })
			f.mustKillKafka(t)
			dying.Wait()
			d.MustStart(t)
			d.mustBeUp(t)
			f.mustTakeOrders(t)
			f.mustStartKafka(t)
			back = append(back, f.mustRecover(t))
		}
	})
	t.Logf("killed %d times; all links went on %s after the broker answered", f.both, spread(back))
}

// partNetwork separates one process after the other from the broker: its connections are reset, or swallow all bytes.
func (f *faults) partNetwork(t *testing.T) {
	var noticed, back []time.Duration
	f.underLoad(t, func() {
		for n := range f.partitions {
			d := f.anyone()
			if n == 0 {
				d = f.shop.runningModule("order") // the order module always has events to send
			}
			direct := d.args
			f.mustRestart(t, d, f.over(f.network.address())...)
			f.pause(time.Second)

			began := time.Now()
			f.network.turn([]weather{swallows, cut}[n%2])
			f.customers.mustSay(t, d, "does not say that its links stand", func(r readiness) bool { return r.Status == "degraded" && r.standing("in") })
			noticed = append(noticed, time.Since(began))
			f.mustAnswer(t, d)
			f.mustTakeOrders(t)
			f.pause(2 * time.Second)
			for _, other := range f.shop.all {
				if other != d {
					f.customers.mustSay(t, other, "is not ready while another one is cut off", func(r readiness) bool { return r.Status == "ready" })
				}
			}
			f.network.turn(calm)
			back = append(back, f.mustRecover(t))
			f.mustRestart(t, d, direct...)
		}
	})
	t.Logf("parted %d times; a process said so %s afterwards, and all links went on %s after it was over", f.partitions, spread(noticed), spread(back))
}

// mustRestart stops d as an operator does, and starts it with other flags.
func (f *faults) mustRestart(t *testing.T, d *deployable, args ...string) {
	t.Helper()
	d.stop(t)
	d.args = args
	d.MustStart(t)
	d.mustBeUp(t)
	f.customers.mustSay(t, d, "is not ready", func(r readiness) bool { return r.Status == "ready" })
}

// standing reports whether all links of a direction stand still.
func (r readiness) standing(direction string) bool {
	for _, l := range r.Links {
		if l.Direction == direction && (l.State != "standing" || l.Error == "") {
			return false
		}
	}
	return len(r.Links) > 0
}

// mustAnswer sends a request that a deployable can answer alone.
func (f *faults) mustAnswer(t *testing.T, d *deployable) {
	t.Helper()
	path := map[string]string{"order": "/api/orders/" + f.customers.orders()[0], "inventory": "/api/stock/MUG-STONEWARE"}[d.modules]
	if path == "" {
		path = "/healthz"
	}
	if status, err := f.customers.askOnce("GET", d.url()+path, "", nil, nil); err != nil || status != http.StatusOK {
		t.Errorf("%s, cut off, answers %d to GET %s: %v", d.modules, status, path, err)
	}
}

// storm lets foreign members join the groups with the positions of the deployables, and leave again. No deployable is
// a member of its group, so no deployable loses a partition. The foreign members commit nothing, because a commit
// would move a position.
func (f *faults) storm(t *testing.T) {
	joined, stopped := 0, f.shop.said("stopped reading")
	f.underLoad(t, func() {
		groups := f.mustFindGroups(t)
		over := time.After(f.faultCounts.storm)
		for {
			select {
			case <-over:
				f.customers.mustBeReady(t)
				return
			default:
			}
			group := groups[f.random.IntN(len(groups))]
			joined += f.join(t, group, 1+f.random.IntN(3))
		}
	})
	if joined == 0 {
		t.Error("no foreign member could join")
	}
	if stopped = f.shop.said("stopped reading") - stopped; stopped > 0 {
		t.Errorf("%d times a deployable stopped reading because of foreign members, want only a position that cannot be written", stopped)
	}
	t.Logf("%d foreign members joined the groups; %d times a deployable logged that it cannot commit offsets", joined, f.shop.said("has active members"))
}

// spread returns the median and the longest of some times.
func spread(took []time.Duration) string {
	if len(took) == 0 {
		return "(never)"
	}
	slices.Sort(took)
	return fmt.Sprintf("%v (at most %v)", took[(len(took)-1)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
}

// mustConnect returns a plain client of the broker.
func (f *faults) mustConnect(t *testing.T) sarama.Client {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	cfg.Consumer.Group.Rebalance.Retry.Backoff = 50 * time.Millisecond
	cfg.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond // so that members soon notice other members
	cfg.Consumer.MaxWaitTime = 20 * time.Millisecond
	c, err := sarama.NewClient([]string{f.kafka.Address}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *faults) topics() (topics []string) {
	for _, m := range modulesOfShop {
		topics = append(topics, f.prefix+"."+m)
	}
	return topics
}
