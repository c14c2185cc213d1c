package torture

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/troupebus/troupe/internal/torture/story"
)

// baits are names of foreign files beside a new journal, and like the names of the journal's parts.
var baits = []string{"away.db.part", "away.db.part-0123456789abcdef", "away.db.before-0123456789abcdef.part"}

// bait puts foreign files beside a new journal. A split must keep files with names like parts of the journal. A split
// must refuse the log of another journal: SQLite would use the log for the new journal.
func (s *shop) bait(step story.Step) {
	folder := filepath.Dir(s.path)
	if step.Mood == story.Parts {
		for _, name := range baits {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(others), 0o600); err != nil {
				s.find("machine", "%v", err)
			}
		}
		return
	}
	log, err := os.ReadFile(s.journal(story.Shop) + "-wal")
	if err != nil { // the shop was stopped, and not killed
		return
	}
	path := filepath.Join(folder, "away.db-wal")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		s.find("machine", "%v", err)
		return
	}
	args := append(step.Args[:len(step.Args):len(step.Args)], "--journal", s.journal(story.Shop))
	res := s.runTool(s.machine.troupe, args...)
	if s.ended(strings.Join(args, " "), res) && (res.code == 0 || !strings.Contains(res.err, "away.db-wal exists without")) {
		s.find("bait", "a split beside the log of another journal ends with exit code %d: %s", res.code, clip(res.err, 300))
	}
	_ = os.Remove(path) // a split that succeeded has removed the log
}

// checkBaits finds changed foreign files, and removes all.
func (s *shop) checkBaits() {
	for _, step := range s.schedule.Steps {
		if step.Do != story.Bait || step.Mood != story.Parts {
			continue
		}
		for _, name := range baits {
			path := filepath.Join(filepath.Dir(s.path), name)
			if text, err := os.ReadFile(path); err != nil || string(text) != others {
				s.find("overwritten", "the foreign file %s was changed or removed: %v", name, err)
			}
			_ = os.Remove(path) // it may be gone
		}
	}
}
