package needs

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestBuildWithoutCgoSaysWhatToInstall(t *testing.T) {
	cmd := exec.Command("go", "build", "../..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	var mistakes []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			mistakes = append(mistakes, line)
		}
	}
	if err == nil || len(mistakes) != 1 || !strings.Contains(mistakes[0], "install_a_C_compiler") {
		t.Errorf("go build without cgo says %v\n%swant one line with what to install", err, out)
	}
}
