package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretFiles takes from a file what is meant by it, or refuses it.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	flags := []string{"--transport", "kafka", "--brokers", "h:1", "--kafka-tls", "--kafka-sasl-mechanism", "SCRAM-SHA-512", "--kafka-sasl-user", "ada"}
	for text, want := range map[string]string{
		"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n\n": "hunter2", "\ufeffhunter2\r\n": "hunter2", "hun ter2": "hun ter2",
		"hunter2 \n": "!white space", "\thunter2": "!white space", "hunter2\u00a0": "!white space", "a\nb\n": "!several lines", "\xff\xfeh\x00": "!UTF-8", "h\x002": "!UTF-8",
	} {
		file := MustWriteAs(t, filepath.Join(t.TempDir(), "password"), text)
		l, err := shop.Load(Input{Folder: t.TempDir(), Flags: MustFlags(t, append(flags, "--kafka-sasl-password-file", file)...)})
		if says, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v, want an error that says %q", text, err, says)
			}
			continue
		}
		if err != nil || l.Backend.Kafka.SASL.Password != want {
			t.Errorf("%q: %q, %v", text, l.Backend.Kafka.SASL.Password, err)
		}
	}
}

// MustChmod changes the permissions of a file.
func MustChmod(tb testing.TB, path string, mode os.FileMode) {
	tb.Helper()
	if err := os.Chmod(path, mode); err != nil {
		tb.Fatal(err)
	}
}

// TestSecretsThatEverybodyCanRead warns of files with a secret in them by their permissions.
func TestSecretsThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	const url, bare = "postgres://ada:hunter2@localhost/d", "postgres://ada@localhost/d"
	for name, c := range map[string]struct {
		file, secret string // of settings, and of its own
		mode         os.FileMode
		warns        string // of the file called so
	}{
		"a url of its own":     {"transport: postgres\npostgres: {url-file: FILE}\n", url, 0o644, "secret"},
		"read by a group":      {"transport: postgres\npostgres: {url-file: FILE}\n", url, 0o640, ""},
		"without a password":   {"transport: postgres\npostgres: {url-file: FILE}\n", bare, 0o644, ""},
		"a url among settings": {"transport: postgres\npostgres: {url: '" + url + "'}\n", "", 0o644, "troupe.yaml"},
		"none among settings":  {"transport: postgres\npostgres: {url: '" + bare + "'}\n", "", 0o644, ""},
		"a parameter":          {"transport: postgres\npostgres: {url: '" + bare + "?password=hunter2'}\n", "", 0o604, "troupe.yaml"},
		"of Kafka": {"transport: kafka\nkafka: {brokers: 'h:1', tls: true, sasl-mechanism: PLAIN, sasl-user: ada, sasl-password-file: FILE}\n",
			"hunter2", 0o644, "secret"},
		"settings alone": {"modules: all\n", "", 0o644, ""},
	} {
		folder := t.TempDir()
		secret := MustWriteAs(t, filepath.Join(folder, "secret"), c.secret)
		file := MustWriteAs(t, filepath.Join(folder, "troupe.yaml"), strings.ReplaceAll(c.file, "FILE", secret))
		for _, path := range []string{secret, file} {
			MustChmod(t, path, c.mode)
		}
		l, err := shop.Load(Input{Folder: folder})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := l.ReadableSecrets()
		if len(got) != min(1, len(c.warns)) || len(got) == 1 && (filepath.Base(got[0].Where) != c.warns || strings.Contains(got[0].String(), "hunter2")) {
			t.Errorf("%s: warnings %v, want one of %q", name, got, c.warns)
		}
	}
}

// TestPostgresThatProvesNothing is refused on another machine, unless that is said to be meant.
func TestPostgresThatProvesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   string
		passes bool
	}{
		{"TROUPE_POSTGRES_URL=postgres://u@db.example.com/d", false},
		{"TROUPE_POSTGRES_URL=postgres://u@db.example.com/d TROUPE_POSTGRES_INSECURE=true", true},
		{"TROUPE_POSTGRES_URL=postgres://u@db.example.com/d?sslmode=verify-full", true},
		{"TROUPE_POSTGRES_URL=postgres://u@127.0.0.1/d", true},
	} {
		_, err := shop.Load(Input{Folder: t.TempDir(), Environ: append(strings.Fields(c.args), "TROUPE_TRANSPORT=postgres")})
		if (err == nil) != c.passes {
			t.Errorf("%s: %v", c.args, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "sslmode=verify-full") || !strings.Contains(err.Error(), "TROUPE_POSTGRES_INSECURE")) {
			t.Errorf("%s: the error does not say what to do: %v", c.args, err)
		}
	}
}

// TestOneSettingTwice finds a setting that stands under its group and by its whole path.
func TestOneSettingTwice(t *testing.T) {
	t.Parallel()
	file := MustWrite(t, "transport: kafka", "kafka: {brokers: 'a:1'}", "kafka.brokers: 'b:1'", "deployables:", "  one:", "    http: 'h:1'", "    kafka.brokers: 'c:1'", "    kafka: {brokers: 'd:1'}")
	_, err := shop.Load(Input{Folder: filepath.Dir(file)})
	for _, says := range []string{":3: kafka.brokers is there already, at " + file + ":2: remove one of them", ":8: kafka.brokers is there already, at " + file + ":7"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want it to say %q", err, says)
		}
	}
}
