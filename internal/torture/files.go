package torture

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/owner"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// secondOwner starts another process on the journal while the owner runs. Two owners are a finding if both still
// acknowledge after goneLimit.
func (r *run) secondOwner(s story.Step) {
	if r.owner == nil || !r.owner.AwaitUp(startLimit) || r.disk.Weather() != disk.Good {
		return
	}
	path := r.path
	switch s.Mood {
	case story.Symlink, story.Hardlink:
		path = filepath.Join(filepath.Dir(r.path), fmt.Sprintf("%s-%d.db", s.Mood, r.started))
		link := map[string]func(string, string) error{story.Symlink: os.Symlink, story.Hardlink: os.Link}[s.Mood]
		if err := link(r.path, path); err != nil {
			return
		}
		defer func() { _ = os.Remove(path) }()
	}
	o, err := r.startOwnerBy(r.clock, path)
	if err != nil {
		r.find("machine", "a second owner cannot be started: %v", err)
		return
	}
	if o.AwaitUp(startLimit) {
		pause.For(r.ctx, goneLimit)
		if a, b := r.publishOne(r.owner, 1), r.publishOne(o, 2); a == talk.Done && b == talk.Done {
			r.find("two owners", "by the name %s, a second process owns the journal, and both processes acknowledge", s.Mood)
			r.lose("the journal had two owners")
		}
	}
	o.Kill()
}

// link makes a symbolic link to the journal, in another folder, and returns its path.
func (r *run) link() string {
	r.unlinkLock() // the start must find no link at the lock file
	path := filepath.Join(filepath.Dir(r.path), "linked", "j.db")
	_ = os.Mkdir(filepath.Dir(path), 0o700) // folder and link may exist
	_ = os.Symlink(r.path, path)
	return path
}

// publishOne publishes an event of the key "both", and returns the kind of the answer.
func (r *run) publishOne(o *owner.Owner, n int) string {
	n += 2 * r.started
	a := r.asks(ask{what: story.Publish, key: "both", n: n, count: 1})
	answer, ok := o.Answer(talk.Request{Do: talk.Publish, Key: "both", N: n}, 2*talk.Patience)
	if !ok {
		answer.Kind = talk.Unknown
	}
	r.answered(a, answer.Kind, answer.Err)
	return answer.Kind
}

// takeFiles removes or moves files while the owner uses them. An owner that is still starting would make its files
// afterwards.
func (r *run) takeFiles(how string) {
	if how != story.RemoveLock && (r.owner == nil || !r.owner.AwaitUp(startLimit)) {
		return
	}
	files, _ := filepath.Glob(r.path + "*")
	var err error
	switch how {
	case story.RemoveLock:
		if r.hasTables() {
			_ = os.Remove(r.path + ".lock")
		}
		return
	case story.RemoveFiles:
		for _, f := range files {
			err = os.Remove(f)
		}
	case story.MoveFiles:
		folder := filepath.Join(filepath.Dir(r.path), "moved")
		err = os.Mkdir(folder, 0o700)
		for _, f := range files {
			if !strings.HasSuffix(f, ".lock") {
				err = os.Rename(f, filepath.Join(folder, filepath.Base(f)))
			}
		}
	}
	if err != nil {
		r.find("machine", "%s: %v", how, err)
	}
	r.lose(how + " took the journal's files away")
	r.gone = time.Now()
}

// hasTables reports whether the journal has its tables. Until then only the lock file shows that the database file is
// a journal. When the first start was killed and the lock file is gone, the next owner refuses the file, and should.
func (r *run) hasTables() bool {
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	return err == nil && reader.Close() == nil
}

const others = "somebody else's"

// linkLock replaces the lock file by a link to a foreign file, which must not be written.
func (r *run) linkLock() {
	bait, lock := filepath.Join(r.folder, "bait"), r.path+".lock"
	if r.owner != nil || !r.hasTables() {
		return
	}
	if err := os.WriteFile(bait, []byte(others), 0o600); err != nil {
		r.find("machine", "%v", err)
	}
	_ = os.Remove(lock)
	_ = os.Symlink(bait, lock) // a start may have been quicker
}

// unlinkLock removes the link, and checks the foreign file.
func (r *run) unlinkLock() {
	bait, lock := filepath.Join(r.folder, "bait"), r.path+".lock"
	text, err := os.ReadFile(bait)
	if err != nil {
		return
	}
	if string(text) != others {
		r.find("overwritten", "the lock file was a symbolic link, and the linked file was overwritten: %s", clip(string(text), 100))
	}
	if info, err := os.Lstat(lock); err == nil && info.Mode()&os.ModeSymlink != 0 {
		_ = os.Remove(lock)
	}
}

// copyDatabase starts an owner on a copy of the database file alone. The owner must refuse the copy, or the copy must
// have all events that were acknowledged before.
func (r *run) copyDatabase() {
	if r.owner == nil || !r.owner.AwaitUp(startLimit) || r.disk.Weather() != disk.Good {
		return
	}
	folder := filepath.Join(r.folder, fmt.Sprint("copy-", r.started))
	path, sure := filepath.Join(folder, "j.db"), r.mustHave()
	if err := os.Mkdir(folder, 0o700); err != nil {
		r.find("machine", "%v", err)
	}
	if out, err := exec.CommandContext(r.ctx, "cp", r.path, path).CombinedOutput(); err != nil { // by a process: a close in this process would drop the locks of all its readers
		r.find("machine", "cp: %v: %s", err, out)
	}
	o, err := r.startOwnerBy(r.clock, path)
	if err != nil {
		r.find("machine", "an owner cannot be started: %v", err)
		return
	}
	up := o.AwaitUp(startLimit)
	o.Kill()
	if !up {
		return
	}
	reader, err := sqlite.OpenReader(r.ctx, path)
	if err != nil {
		return
	}
	defer func() { _ = reader.Close() }()
	n := 0
	err = reader.View(r.ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(r.ctx, "SELECT count(*) FROM events WHERE type = 'torture.asked'").Scan(&n)
	})
	if err == nil && n < sure {
		r.find("copy", "an owner accepts a copy of the database file alone, with %d events of %d that were acknowledged before", n, sure)
	}
}
