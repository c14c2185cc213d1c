package story

import (
	"strings"

	"github.com/troupebus/troupe/internal/torture/disk"
)

// shops draws the shop in a single process, wires draws the shop in two processes and a broker.
func (d *drawer) shops() { d.deployables(Shop) }

func (d *drawer) wires() {
	d.deployables(Broker, Front, Back)
	if d.chance(25) {
		d.do(Step{Do: Meddle, Mood: Unobserved})
	}
}

// deployables starts all processes that are named, and torments each. The orders go to the last process but one, or
// to the only one.
func (d *drawer) deployables(names ...string) {
	door := names[max(len(names)-2, 0)]
	for _, name := range names {
		d.do(Step{Do: Start, Key: name})
	}
	d.do(Step{Do: "nothing", Wait: 500})
	for range 8 + d.r.IntN(10) {
		who := pick(d, names...)
		switch d.r.IntN(10) {
		case 0, 1, 2, 3:
			d.do(Step{Do: PlaceOrders, Key: door, Calls: d.between(1, 30), Wait: d.between(0, 300)})
		case 4, 5:
			d.do(Step{Do: pick(d, Kill, Kill, Stop), Key: who, Wait: d.between(0, 500)},
				Step{Do: Start, Key: who, Wait: d.between(0, 300)})
		case 6:
			d.do(Step{Do: Freeze, Key: who, For: d.between(50, 1500), Wait: d.between(0, 200)})
		case 7, 8:
			args := pick(d, []string{"verify", "--json"}, []string{"events", "--json", "--limit", "0"}, []string{"dlq", "list"}, []string{"split", "--check"},
				[]string{"dlq", "replay", "--all"}, []string{"trace", "nothing"}, []string{"resend"})
			if who != Broker {
				d.do(Step{Do: Command, Key: who, Args: args, Wait: d.between(0, 100)})
			}
		case 9:
			d.do(Step{Do: Weather, Mood: string(pick(d, disk.Weathers()...)), For: d.between(50, 1500), Wait: d.between(0, 300)})
		}
	}
}

// moves splits modules from the shop and merges them back. The commands are killed and run again.
func (d *drawer) moves() {
	split := []string{"split", "--modules", pick(d, "payment", "shipping", "payment,shipping"), "--into", AwayFile}
	merge := []string{"merge", "--from", AwayFile}
	d.do(Step{Do: Start, Key: Shop, Wait: 500})
	for range 1 + d.r.IntN(3) {
		d.do(Step{Do: PlaceOrders, Key: Shop, Calls: d.between(1, 30), Wait: d.between(0, 300)})
	}
	d.do(Step{Do: Finish}, Step{Do: pick(d, Stop, Kill), Key: Shop})
	if d.chance(25) { // a name that SQLite uses for a file of its own
		odd := pick(d, "disk/shop.db-journal", "disk/shop.db-wal", "disk/shop.db")
		d.do(Step{Do: Command, Key: Shop, Args: []string{"split", "--modules", "payment", "--into", odd}}, Step{Do: Finish})
	}
	if d.chance(40) {
		d.do(Step{Do: Bait, Mood: pick(d, Parts, Log), Args: split})
	}
	for range 3 {
		d.settings()
	}
	if d.chance(60) { // else the log of a killed shop stays
		d.tie(pick(d, strings.Split(split[2], ",")...))
		d.tie(pick(d, strings.Split(split[2], ",")...))
	}
	for _, args := range [][]string{split, merge} {
		for range d.r.IntN(4) {
			d.do(Step{Do: Command, Key: Shop, Args: args, For: d.between(5, 200)}, Step{Do: Finish})
		}
		d.do(Step{Do: Command, Key: Shop, Args: args}, Step{Do: Finish})
	}
}

// across draws a flow over three deployables. Most faults are faults of the broker and the network.
func (d *drawer) across() {
	d.do(Step{Do: Start, Key: Broker})
	if d.chance(15) {
		d.do(Step{Do: Meddle, Mood: Compacted})
	}
	for _, name := range Deployables {
		d.do(Step{Do: Start, Key: name})
	}
	d.do(Step{Do: "nothing", Wait: d.between(0, 1000)})
	if d.steps[1].Mood == Compacted {
		d.moody([]string{"loud"}, 5, 0)
	}
	wrong := d.chance(25)
	if d.chance(40) {
		last := pick(d, TwinProcess, Restored, Transaction, OtherBytes, LowLimit, Hoard, Remade, Dump)
		d.do(Step{Do: Meddle, Mood: last})
	}
	for range 10 + d.r.IntN(12) {
		who := pick(d, Broker, Broker, Door, Ledger, Tail)
		if wrong && d.chance(25) {
			d.clock(pick(d, Deployables...))
		}
		switch d.r.IntN(12) {
		case 11:
			d.meddle()
		case 0, 1, 2:
			d.publish(5, 20, 20, 200)
		case 3:
			d.moody(append(allMoods[:len(allMoods):len(allMoods)], "loud"), 5, 200)
		case 4, 5:
			start := Step{Do: Start, Key: who, Wait: d.between(0, 500)}
			if who == Tail && d.chance(50) {
				start.Mood = Older
			}
			d.do(Step{Do: pick(d, Kill, Kill, Stop), Key: who, Wait: d.between(0, 2000)}, start)
		case 6:
			d.do(Step{Do: Freeze, Key: who, For: d.between(50, 8000), Wait: d.between(0, 300)})
		case 7, 8:
			d.do(Step{Do: Network, Mood: pick(d, Cut, Cut, Held, Refusing), For: d.between(10, 6000), Wait: d.between(0, 500)})
		case 9:
			args := pick(d, []string{"verify"}, []string{"events", "--json", "--limit", "0"}, []string{"dlq", "list"},
				[]string{"dlq", "replay", "--all"}, []string{"trace", "k0"}, []string{"resend"}, []string{"resend"})
			d.do(Step{Do: Command, Key: pick(d, Deployables...), Args: args, Wait: d.between(0, 200)})
		case 10:
			if d.chance(40) {
				d.do(Step{Do: Weather, Mood: string(pick(d, disk.Weathers()...)), For: d.between(50, 1000),
					Wait: d.between(0, 300)})
			}
		}
	}
}

// meddle draws a fault at the broker, and the steps that make the fault matter.
func (d *drawer) meddle() {
	switch pick(d, LargeRecord, SmallBatches, DeleteRecords, WebServer) {
	case LargeRecord:
		d.do(Step{Do: Meddle, Mood: LargeRecord, Wait: d.between(0, 500)})
	case SmallBatches:
		d.do(Step{Do: Meddle, Mood: SmallBatches})
		d.do(d.events(Step{Do: Publish, Calls: 5, Count: 100 + d.r.IntN(100)}, 5))
	case DeleteRecords:
		d.do(Step{Do: pick(d, Kill, Stop), Key: Ledger})
		d.publish(5, 20, 20, 0)
		d.do(Step{Do: "nothing", Wait: d.between(0, 2000)}, Step{Do: Meddle, Mood: DeleteRecords}, Step{Do: Start, Key: Ledger})
	case WebServer:
		d.do(Step{Do: Kill, Key: Broker}, Step{Do: Meddle, Mood: WebServer, For: 1000 + d.between(0, 2000)},
			Step{Do: Start, Key: Broker, Wait: 300})
	}
}
