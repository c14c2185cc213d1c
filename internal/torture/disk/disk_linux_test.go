package disk_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/torture/disk"
)

// TestMain is also the program that runs on a disk: the launcher, and a writer that prints the errors of its calls.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "through":
		_, _ = os.Stderr.WriteString(disk.Through(os.Args[2:]).Error())
		os.Exit(3)
	case len(os.Args) == 3 && os.Args[1] == "write":
		work(os.Args[2])
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == "rest":
		<-time.After(time.Hour)
	}
	os.Exit(m.Run())
}

// mustBeAvailable returns the path of this program, and skips the test where no Disk works.
func mustBeAvailable(t *testing.T) (self string) {
	t.Helper()
	if err := disk.Available(); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// TestSignalAtTheStart freezes a program directly after Start, sends a signal, and lets the program go on: the signal
// ends the program.
func TestSignalAtTheStart(t *testing.T) {
	t.Parallel()
	self := mustBeAvailable(t)
	d, err := disk.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		cmd := exec.CommandContext(t.Context(), self, "rest")
		if err := d.Start(cmd, self, "through"); err != nil {
			t.Fatal(err)
		}
		for _, s := range []os.Signal{syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGCONT} {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // an error, as a signal ends the program
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("the program got no signal")
		}
	}
}

func work(path string) {
	name := func(err error) {
		var e syscall.Errno
		switch {
		case err == nil:
			os.Stdout.WriteString("ok ")
		case errors.As(err, &e):
			os.Stdout.WriteString(map[syscall.Errno]string{syscall.EIO: "EIO ", syscall.ENOSPC: "ENOSPC ", syscall.EROFS: "EROFS "}[e])
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	name(err)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 0)
		name(err)
		_, err = f.WriteAt([]byte("x"), 100)
		name(err)
		name(f.Sync())
		name(f.Close())
	}
	f, err = os.Create(path + "2")
	name(err)
	if err == nil {
		name(f.Close())
	}
}

// Every weather fails the calls that it should fail, for the folder's files only.
func TestWeathers(t *testing.T) {
	t.Parallel()
	self := mustBeAvailable(t)
	for _, tt := range []struct {
		weather disk.Weather
		want    string
	}{
		{disk.Good, "ok ok ok ok ok ok ok"},
		{disk.Full, "ok ok ENOSPC ok ok ENOSPC"},
		{disk.ReadOnly, "EROFS EROFS"},
		{disk.SyncFails, "ok ok ok EIO ok ok ok"},
		{disk.WriteFails, "ok EIO EIO ok ok ok ok"},
		{disk.Slow, "ok ok ok ok ok ok ok"},
	} {
		for _, elsewhere := range []bool{false, true} {
			folder := t.TempDir()
			d, err := disk.New(folder)
			if err != nil {
				t.Fatal(err)
			}
			d.Set(tt.weather)
			want := tt.want
			if elsewhere {
				folder, want = t.TempDir(), "ok ok ok ok ok ok ok"
			}
			path := filepath.Join(folder, "file")
			if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			cmd := exec.CommandContext(t.Context(), self, "write", path)
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := d.Start(cmd, self, "through"); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != want {
				t.Errorf("on a disk that is %q: %q, %v, want %q", tt.weather, out.String(), err, want)
			}
		}
	}
}
