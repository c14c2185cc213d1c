package story

import "github.com/troupebus/troupe/internal/torture/disk"

// backlog draws publishers of more events than a subscription keeps in memory at a time.
func (d *drawer) backlog() {
	for range 1 + d.r.IntN(3) {
		d.do(d.events(Step{Do: Publish, Key: pick(d, "", "each*"), Calls: 1 + d.r.IntN(3), Count: 400 + d.r.IntN(600), Wait: d.between(0, 100)}, 50))
	}
}

func (d *drawer) weathers() {
	d.owner(300)
	for range 1 + d.r.IntN(2) {
		d.backlog()
		d.do(Step{Do: "nothing", Wait: d.r.IntN(300)}) // by then the log has the backlog, and the handlers have not finished
		s := Step{Do: Weather, Mood: string(pick(d, disk.Full, disk.Full, disk.WriteFails, disk.SyncFails, disk.ReadOnly,
			disk.Slow)), For: d.between(200, 3000)}
		if d.chance(50) {
			s.Wait = d.between(0, 200)
		}
		big := d.chance(50)
		if big {
			d.moody([]string{"big"}, 5, 20)
		}
		d.do(s)
		if big {
			d.moody([]string{"big"}, 5, 100)
		}
		for range d.r.IntN(4) {
			d.publish(5, 10, 5, 200)
		}
		for range d.r.IntN(3) {
			d.person(200)
		}
		d.do(Step{Do: "nothing", Wait: d.between(0, 3000)})
		if d.chance(30) {
			d.end()
			if d.chance(50) { // no owner runs: the -wal and -shm may be gone
				d.do(Step{Do: Weather, Mood: string(pick(d, disk.ReadOnly, disk.Full)), For: 500},
					Step{Do: Command, Args: pick(d, []string{"events", "--limit", "3"}, []string{"dlq", "list"}, []string{"verify"})}, Step{Do: Finish})
			}
			d.owner(300)
		}
	}
}

func (d *drawer) locks() {
	d.owner(300)
	for range 1 + d.r.IntN(3) {
		if d.chance(70) {
			d.backlog()
		}
		if d.chance(50) {
			d.moody([]string{"late", "deaf"}, 5, 50)
		}
		lock := Step{Do: Foreign, For: d.between(300, 5000), Wait: d.between(0, 100)}
		if d.chance(15) {
			lock.For = 20_000 // longer than any publisher waits
		}
		d.do(d.events(lock, 5))
		d.publish(5, 30, 3, 300)
		if d.chance(30) {
			d.person(100)
		}
	}
}

// order keeps a few keys busy with dead, retried, blocked and new events, while a person replays dead letters.
func (d *drawer) order() {
	d.owner(300)
	for round := range 2 + d.r.IntN(3) {
		if round > 0 {
			d.do(Step{Do: Heal, Mood: "sick"})
		}
		for range 1 + d.r.IntN(2) {
			d.moody([]string{"sick", "sick", "dead"}, 2, 100)
		}
		d.moody([]string{"flaky", "flaky", "flaky", "later"}, 2, 100)
		d.do(d.events(Step{Do: Publish, Mood: "plain", Count: d.between(1, 3), Wait: 50 + d.between(0, 200)}, 2))
		replay := Step{Do: Command, Args: []string{"dlq", "replay", "--all"}, Wait: d.between(0, 150)}
		if d.chance(25) { // enough time for the owner to notice the replay, while older events of the key still fail
			replay.Wait = 500 + d.between(0, 1500)
		}
		if d.chance(70) {
			d.do(replay, Step{Do: Heal, Wait: d.between(0, 40)})
		} else {
			d.do(Step{Do: Heal, Wait: d.between(0, 40)}, replay)
		}
		for range 10 + d.r.IntN(30) {
			d.do(d.events(Step{Do: Publish, Mood: "plain", Wait: 3 + d.between(0, 20)}, 2))
		}
		if d.chance(30) {
			// more events of a key than the owner keeps in memory: the rest has rows when the process ends, the earlier
			// events have none
			d.do(d.events(Step{Do: Publish, Mood: "plain", Count: 80 + d.r.IntN(150), Wait: 20 + d.between(0, 150)}, 2))
			d.end()
			d.owner(200)
		}
	}
}

func (d *drawer) owners() {
	d.owner(400)
	d.publish(3, 10, 5, 200)
	for range 1 + d.r.IntN(2) {
		if d.chance(25) {
			d.do(Step{Do: RemoveLock, Wait: d.between(0, 1500)})
		}
		if d.chance(25) {
			d.do(Step{Do: CopyDatabase})
		}
		if d.chance(25) {
			d.do(Step{Do: Stop}, Step{Do: LinkLock})
			d.owner(300)
			d.do(Step{Do: Stop})
			d.owner(300)
		}
		if d.chance(30) {
			d.do(Step{Do: Stop}, Step{Do: Start, Key: Symlink, Mood: pick(d, "", "normal"), Wait: d.between(0, 300)})
			d.publish(3, 10, 5, 200)
		}
		d.do(Step{Do: SecondOwner, Mood: pick(d, SameName, Symlink, Hardlink), Wait: d.between(0, 200)})
		d.publish(3, 10, 5, 200)
	}
	if d.chance(30) {
		d.end()
		d.owner(300)
		d.publish(3, 10, 5, 200)
	}
}

func (d *drawer) gone() {
	d.owner(400)
	d.publish(3, 10, 5, 300)
	d.do(Step{Do: pick(d, RemoveFiles, MoveFiles), Wait: 2000})
	d.publish(3, 10, 5, 300)
	if d.chance(50) {
		d.person(100)
	}
}

func (d *drawer) snapshots() {
	d.owner(300)
	for range 1 + d.r.IntN(2) {
		if d.chance(60) {
			d.do(Step{Do: Read, For: d.between(500, 3000)})
		}
		for range 3 + d.r.IntN(5) {
			d.do(d.events(Step{Do: Publish, Calls: 1 + d.between(0, 5), Count: 50 + d.r.IntN(150),
				Size: 1000 * d.between(1, 20), Wait: d.between(0, 300)}, 20))
		}
		if d.chance(40) {
			d.do(Step{Do: Command, Args: pick(d, []string{"verify"}, []string{"events", "--json", "--limit", "0"})})
		}
	}
}

func (d *drawer) large() {
	d.owner(300)
	for range 4 + d.r.IntN(6) {
		d.do(d.events(Step{Do: Publish, Calls: 10 + d.between(0, 30), Size: 100_000 * d.between(3, 10),
			Wait: d.between(0, 500)}, 50))
		if d.chance(20) {
			d.do(Step{Do: Weather, Mood: string(disk.Full), For: d.between(200, 2000)})
		}
	}
}

// clock draws a step of the clock of a deployable, or of all processes.
func (d *drawer) clock(key string) {
	ahead := pick(d, 0, 1, 60, 3600, 25*3600, 366*24*3600)
	if d.chance(50) {
		ahead = -ahead
	}
	d.do(Step{Do: StepClock, Key: key, Ahead: ahead, Wait: d.between(0, 1000)})
}

func (d *drawer) clocks() {
	d.clock("")
	d.owner(300)
	for range 6 + d.r.IntN(10) {
		switch d.r.IntN(10) {
		case 0, 1:
			d.clock("")
		case 2, 3:
			later := pick(d, 100, 1000, 3000, 1800*1000, 24*3600*1000)
			d.do(d.events(Step{Do: Publish, Calls: d.between(1, 3), Count: d.between(1, 5), After: later,
				Wait: d.between(0, 500)}, 5))
		case 4, 5:
			d.moody([]string{"flaky", "flaky", "later", "sick", "dead"}, 3, 200)
		case 6:
			d.publish(5, 10, 5, 200)
		case 7:
			d.end()
			if d.chance(50) {
				d.clock("")
			}
			d.owner(d.between(0, 500))
		case 8:
			if d.chance(50) {
				d.person(100)
			} else {
				d.do(Step{Do: Heal, Mood: pick(d, "", "sick"), Wait: d.between(0, 300)})
			}
		case 9: // the computer sleeps: its processes stand still, and the clock goes on
			d.do(Step{Do: Freeze, For: 300, Wait: 100}, Step{Do: StepClock, Ahead: 7200, Wait: 300})
		}
	}
}
