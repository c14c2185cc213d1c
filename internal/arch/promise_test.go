package arch

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/ci/promise"
)

// promises are the packages that no minor version breaks. All other public packages are seams.
var promises = map[string]bool{".": true, "bus": true, "bus/bustest": true, "transports": true}

// TestPromises expects that the comment of each public package says how stable the package is. The shop's packages are
// an example.
func TestPromises(t *testing.T) {
	public := map[string]bool{}
	for _, file := range MustFiles(t, ".go") {
		dir := path.Dir(file)
		top, _, _ := strings.Cut(dir, "/")
		library := slices.Contains([]string{".", "bus", "transports"}, top) && !strings.Contains(dir, "internal")
		if library && !strings.HasSuffix(file, "_test.go") {
			public[dir] = true
		}
	}
	if len(public) < 10 {
		t.Fatalf("found %d public packages", len(public))
	}
	for dir := range public {
		want := promise.Seam
		if promises[dir] {
			want = promise.Promise
		}
		if got, err := promise.Of(checkout + "/" + dir); err != nil || got != want {
			t.Errorf("the comment of the package in %s says %q (%v): say in a paragraph that the package is a %s,"+
				" as the comments of the other packages do", dir, got, err, want)
		}
	}
}
