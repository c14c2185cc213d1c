package torture

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// built is the machine of all tests here: the build takes longer than most tests.
var built = sync.OnceValues(func() (*Machine, error) {
	var err error
	if builtIn, err = os.MkdirTemp("", "torture-"); err != nil {
		return nil, err
	}
	return Build(context.Background(), builtIn)
})

var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(builtIn); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// MustBuild returns the machine of all tests.
func MustBuild(t *testing.T) *Machine {
	t.Helper()
	m, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
