package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // driver
)

// postgresEnv is the environment variable with the URL of the server for tests.
const postgresEnv = "TROUPE_TEST_POSTGRES"

// Postgres returns the URL of a new database on the server of TROUPE_TEST_POSTGRES, and drops the database after the
// test. Without the variable, the test is skipped.
func Postgres(tb testing.TB) string {
	tb.Helper()
	at, err := url.Parse(PostgresURL(tb))
	if err != nil {
		tb.Fatalf("%s is not a URL such as postgres://postgres@127.0.0.1:5432/postgres", postgresEnv)
	}
	db, err := sql.Open("pgx", at.String())
	if err != nil {
		tb.Fatal(err)
	}
	name := "troupe_test_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("%v: does the server of %s run, and may its role create databases?", err, postgresEnv)
	}
	tb.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	at.Path = "/" + name
	return at.String()
}

// PostgresURL returns the value of TROUPE_TEST_POSTGRES. Without the variable, the test is skipped.
func PostgresURL(tb testing.TB) string {
	tb.Helper()
	at := os.Getenv(postgresEnv)
	if at == "" {
		tb.Skip("needs a real PostgreSQL: make postgres, then " + postgresEnv + "=postgres://... go test ...")
	}
	return at
}

// PostgresServer is a server for a single test, which may stop and start the server.
type PostgresServer struct {
	URL string

	tb  testing.TB
	dir string
}

// OwnPostgres starts a server for a test, and stops the server after the test. The test is skipped where Postgres
// skips it, and where no server is installed.
func OwnPostgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	PostgresURL(tb)
	// Not tb.TempDir: as root, the server runs as another user, without access to such a directory.
	dir, err := os.MkdirTemp("", "troupe-postgres-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &PostgresServer{tb: tb, dir: dir}
	tb.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
			s.Stop("fast")
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	s.Start()
	return s
}

// Start starts the server, again on the same port and data.
func (s *PostgresServer) Start() {
	s.tb.Helper()
	s.URL = strings.TrimSpace(s.script("start", s.dir))
}

// Stop stops the server: "fast" gracefully, "immediate" like a crash.
func (s *PostgresServer) Stop(mode string) {
	s.tb.Helper()
	s.script("stop", s.dir, mode)
}

func (s *PostgresServer) script(args ...string) string {
	s.tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "postgres.sh"), args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if strings.Contains(complaint.String(), "is not installed") {
		s.tb.Skip(complaint.String())
	}
	if err != nil {
		s.tb.Fatalf("postgres.sh %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out)
}
