package torture

import "github.com/troupebus/troupe/internal/torture/disk"

// shops draws a shop in one process, wires one in two and a broker.
func (d *drawer) shops() { d.deployables(alone) }

func (d *drawer) wires() { d.deployables(broker, front, back) }

// deployables starts all that are named, and torments each while orders come to the last but one, which takes them.
func (d *drawer) deployables(names ...string) {
	door := names[max(len(names)-2, 0)]
	for _, name := range names {
		d.do(Step{Do: start, Key: name})
	}
	d.do(Step{Do: "nothing", Wait: 500})
	for range 8 + d.r.IntN(10) {
		who := pick(d, names...)
		switch d.r.IntN(10) {
		case 0, 1, 2, 3:
			d.do(Step{Do: order, Key: door, Calls: d.between(1, 30), Wait: d.between(0, 300)})
		case 4, 5:
			d.do(Step{Do: pick(d, kill, kill, stop), Key: who, Wait: d.between(0, 500)}, Step{Do: start, Key: who, Wait: d.between(0, 300)})
		case 6:
			d.do(Step{Do: freeze, Key: who, For: d.between(50, 1500), Wait: d.between(0, 200)})
		case 7, 8:
			args := pick(d, []string{"verify", "--json"}, []string{"events", "--json", "--limit", "0"}, []string{"dlq", "list"}, []string{"split", "--check"},
				[]string{"dlq", "replay", "--all"}, []string{"trace", "nothing"}, []string{"resend"})
			if who != broker {
				d.do(Step{Do: command, Key: who, Args: args, Wait: d.between(0, 100)})
			}
		case 9:
			d.do(Step{Do: weather, Mood: string(pick(d, disk.Weathers()...)), For: d.between(50, 1500), Wait: d.between(0, 300)})
		}
	}
}

// moves takes modules out of the shop and brings them back, with commands that are killed and run again.
func (d *drawer) moves() {
	split := []string{"split", "--modules", pick(d, "payment", "shipping", "payment,shipping"), "--into", "disk/away.db"}
	merge := []string{"merge", "--from", "disk/away.db"}
	d.do(Step{Do: start, Key: alone, Wait: 500})
	for range 1 + d.r.IntN(3) {
		d.do(Step{Do: order, Key: alone, Calls: d.between(1, 30), Wait: d.between(0, 300)})
	}
	d.do(Step{Do: finish}, Step{Do: pick(d, stop, kill), Key: alone})
	if d.chance(25) { // a name that SQLite takes for its own
		odd := pick(d, "disk/shop.db-journal", "disk/shop.db-wal", "disk/shop.db")
		d.do(Step{Do: command, Key: alone, Args: []string{"split", "--modules", "payment", "--into", odd}}, Step{Do: finish})
	}
	for _, args := range [][]string{split, merge} {
		for range d.r.IntN(4) {
			d.do(Step{Do: command, Key: alone, Args: args, For: d.between(5, 200)}, Step{Do: finish})
		}
		d.do(Step{Do: command, Key: alone, Args: args}, Step{Do: finish})
	}
}

// across draws a flow over three deployables. Most of what happens to it happens to what carries the events.
func (d *drawer) across() {
	all := append([]string{broker}, deployables...)
	for _, name := range all {
		d.do(Step{Do: start, Key: name})
	}
	d.do(Step{Do: "nothing", Wait: d.between(0, 1000)})
	wrong := d.chance(25)
	if d.chance(10) {
		d.do(Step{Do: meddle, Mood: twins})
	}
	for range 10 + d.r.IntN(12) {
		who := pick(d, broker, broker, door, ledger, tail)
		if wrong && d.chance(25) {
			d.clock(pick(d, deployables...))
		}
		switch d.r.IntN(12) {
		case 11:
			d.meddle()
		case 0, 1, 2:
			d.publish(5, 20, 20, 200)
		case 3:
			d.moody(allMoods, 5, 200)
		case 4, 5:
			d.do(Step{Do: pick(d, kill, kill, stop), Key: who, Wait: d.between(0, 2000)}, Step{Do: start, Key: who, Wait: d.between(0, 500)})
		case 6:
			d.do(Step{Do: freeze, Key: who, For: d.between(50, 8000), Wait: d.between(0, 300)})
		case 7, 8:
			d.do(Step{Do: wire, Mood: pick(d, cut, cut, held, refusing), For: d.between(10, 6000), Wait: d.between(0, 500)})
		case 9:
			args := pick(d, []string{"verify"}, []string{"events", "--json", "--limit", "0"}, []string{"dlq", "list"},
				[]string{"dlq", "replay", "--all"}, []string{"trace", "k0"}, []string{"resend"}, []string{"resend"})
			d.do(Step{Do: command, Key: pick(d, deployables...), Args: args, Wait: d.between(0, 200)})
		case 10:
			if d.chance(40) {
				d.do(Step{Do: weather, Mood: string(pick(d, disk.Weathers()...)), For: d.between(50, 1000), Wait: d.between(0, 300)})
			}
		}
	}
}

// meddle draws what somebody does at the broker, with what makes it matter.
func (d *drawer) meddle() {
	switch pick(d, swollen, limited, forgets, web) {
	case swollen:
		d.do(Step{Do: meddle, Mood: swollen, Wait: d.between(0, 500)})
	case limited:
		d.do(Step{Do: meddle, Mood: limited})
		d.do(d.events(Step{Do: publish, Calls: 5, Count: 100 + d.r.IntN(100)}, 5))
	case forgets:
		d.do(Step{Do: pick(d, kill, stop), Key: ledger})
		d.publish(5, 20, 20, 0)
		d.do(Step{Do: "nothing", Wait: d.between(0, 2000)}, Step{Do: meddle, Mood: forgets}, Step{Do: start, Key: ledger})
	case web:
		d.do(Step{Do: kill, Key: broker}, Step{Do: meddle, Mood: web, For: 1000 + d.between(0, 2000)}, Step{Do: start, Key: broker, Wait: 300})
	}
}
