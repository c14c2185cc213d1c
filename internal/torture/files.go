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
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// second has another process try to own the journal while the owner lives. When it can, one of the two must have given up.
func (r *run) second(s story.Step) {
	if r.owner == nil || !r.owner.awaitUp(startLimit) || r.disk.Weather() != disk.Good {
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
	o, err := r.startOwner(path)
	if err != nil {
		r.find("machine", "a second owner cannot be started: %v", err)
		return
	}
	if o.awaitUp(startLimit) {
		pause.For(r.ctx, goneLimit)
		if a, b := r.publishOne(r.owner, 1), r.publishOne(o, 2); a == talk.Done && b == talk.Done {
			r.find("two owners", "by the name %s a second process owns the journal, and both acknowledge", s.Mood)
			r.lose("it had two owners")
		}
	}
	o.kill()
}

// link makes a symbolic link to the journal, in another folder, and returns its path.
func (r *run) link() string {
	r.unlure() // a start is to find nothing in its way but the link
	path := filepath.Join(filepath.Dir(r.path), "linked", "j.db")
	_ = os.Mkdir(filepath.Dir(path), 0o700) // both may be there
	_ = os.Symlink(r.path, path)
	return path
}

// publishOne publishes an event of the key "both", and returns what was answered.
func (r *run) publishOne(o *owner, n int) string {
	n += 2 * r.started
	a := r.asks(ask{what: story.Publish, key: "both", n: n, count: 1})
	answer, ok := o.answer(talk.Request{Do: talk.Publish, Key: "both", N: n}, 2*talk.Patience)
	if !ok {
		answer.Kind = talk.Unknown
	}
	r.answered(a, answer.Kind, answer.Err)
	return answer.Kind
}

// spoil does away with files under the owner. An owner that is still starting would make its files afterwards.
func (r *run) spoil(how string) {
	if how != unlock && (r.owner == nil || !r.owner.awaitUp(startLimit)) {
		return
	}
	files, _ := filepath.Glob(r.path + "*")
	var err error
	switch how {
	case story.RemoveLock:
		if r.made() {
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
	r.lose(how + " took its files away")
	r.gone = time.Now()
}

// made reports whether the journal has its tables. Before that the lock file alone knows what the database file is:
// without it, an owner that comes after a first start that was ended refuses the file, and should.
func (r *run) made() bool {
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	return err == nil && reader.Close() == nil
}

const others = "somebody else's"

// lure makes the lock file a link to a file of somebody else, which must not be written to.
func (r *run) lure() {
	bait, lock := filepath.Join(r.folder, "bait"), r.path+".lock"
	if r.owner != nil || !r.made() {
		return
	}
	if err := os.WriteFile(bait, []byte(others), 0o600); err != nil {
		r.find("machine", "%v", err)
	}
	_ = os.Remove(lock)
	_ = os.Symlink(bait, lock) // a start may have been quicker
}

// unlure takes the link away, and looks at what it led to.
func (r *run) unlure() {
	bait, lock := filepath.Join(r.folder, "bait"), r.path+".lock"
	text, err := os.ReadFile(bait)
	if err != nil {
		return
	}
	if string(text) != others {
		r.find("overwritten", "the lock file was a symbolic link, and what it led to was overwritten: %s", clip(string(text), 100))
	}
	if info, err := os.Lstat(lock); err == nil && info.Mode()&os.ModeSymlink != 0 {
		_ = os.Remove(lock)
	}
}

// copied starts an owner on a copy of the database file alone. It must be refused, or have all that was acknowledged before.
func (r *run) copied() {
	if r.owner == nil || !r.owner.awaitUp(startLimit) || r.disk.Weather() != disk.Good {
		return
	}
	folder := filepath.Join(r.folder, fmt.Sprint("copy-", r.started))
	path, sure := filepath.Join(folder, "j.db"), r.sure()
	if err := os.Mkdir(folder, 0o700); err != nil {
		r.find("machine", "%v", err)
	}
	if out, err := exec.CommandContext(r.ctx, "cp", r.path, path).CombinedOutput(); err != nil { // not here: closing a file drops the locks of this process
		r.find("machine", "cp: %v: %s", err, out)
	}
	o, err := r.startOwner(path)
	if err != nil {
		r.find("machine", "an owner cannot be started: %v", err)
		return
	}
	up := o.awaitUp(startLimit)
	o.kill()
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
		r.find("copy", "a copy of the database file alone is taken for a journal: it has %d events of %d that were acknowledged before", n, sure)
	}
}
