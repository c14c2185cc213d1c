package cli

import (
	"github.com/troupebus/troupe/internal/cli/console"
	"runtime/debug"
	"testing"
)

func TestDescribeBuild(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "042c17b"}, {Key: "vcs.time", Value: "2026-11-30T00:00:00Z"}, {Key: "vcs.modified", Value: "true"}}}
	if got, want := console.DescribeBuild(info), "v1.2.3 042c17b of 2026-11-30T00:00:00Z, with changes, go1.26"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := console.DescribeBuild(&debug.BuildInfo{GoVersion: "go1.26"}), "(unknown), go1.26"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
