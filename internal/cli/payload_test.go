package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/inspect"
	"github.com/troupebus/troupe/transports/sqlite"
)

// crate has the bytes of its codec, and letter is encrypted for its key.
type (
	crate  struct{ data []byte }
	letter struct {
		To   string `json:"to"`
		Text string `json:"text"`
	}
)

var crateCodec = codec.New("application/x-crate", "", func(c crate) ([]byte, error) { return c.data, nil },
	func(data []byte, into *crate) error { into.data = data; return nil })

func (crate) EventType() string             { return "test.crate" }
func (crate) EventKey() string              { return "crate" }
func (crate) EventCodec() codec.Codec       { return crateCodec }
func (letter) EventType() string            { return "test.letter" }
func (l letter) EventKey() string           { return l.To }
func (l letter) EventEncryptionKey() string { return "citizen-" + l.To }
func (l letter) EventReadable() any         { return map[string]string{"to": l.To} }

// MustKeepPayloads makes a journal with a dead letter of each type, and returns its path.
func MustKeepPayloads(tb testing.TB) string {
	tb.Helper()
	path, keys := filepath.Join(tb.TempDir(), "j.db"), &encrypt.Ring{}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: quiet})
	if err == nil {
		err = keys.Add("citizen-a", encrypt.NewKey())
	}
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, bus.Config{Logger: quiet, Keys: keys})
	m := b.Module("post").Emits(crate{}, letter{})
	bus.On(m, "store", func(context.Context, crate) (bus.Events, error) { return nil, bus.Dead(errors.New("full")) }).AnyOrder()
	bus.On(m, "deliver", func(context.Context, letter) (bus.Events, error) { return nil, bus.Dead(errors.New("away")) })
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Running():
	case err := <-ended:
		tb.Fatal(err)
	}
	_, err = m.Publish(bus.Correlate(tb.Context(), "f"), crate{[]byte("\x1b[2J\xff a long crate of bytes")}, letter{"a", "a secret text"})
	if err == nil {
		err = b.Quiet(tb.Context())
	}
	cancel()
	if err := errors.Join(err, <-ended, j.Close()); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Payloads of other formats are described, and their bytes reach no terminal.
func TestPayloadsInCommands(t *testing.T) {
	t.Parallel()
	path := MustKeepPayloads(t)
	const shown = "(application/x-crate, 27 bytes: 1b5b324aff2061206c6f6e6720637261…)"
	trace := MustRunCommand(t, inspect.NewTraceCmd, "f", "--journal", path)
	wantOutput(t, trace, 0, "test.crate  crate  +0s  "+shown+"\n", "test.letter  a  +0s  (encrypted with key citizen-a, ")
	events := MustRunCommand(t, inspect.NewEventsCmd, "--journal", path)
	wantOutput(t, events, 0, "test.crate               crate                 flow f  "+shown+"\n", "flow f  (encrypted with key citizen-a, ")
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	letters, err := r.DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
	if err := errors.Join(err, r.Close()); err != nil || len(letters) != 2 {
		t.Fatalf("%d dead letters: %v", len(letters), err)
	}
	all := trace.stdout + events.stdout
	for i, l := range letters {
		show := MustRunCommand(t, inspect.NewDLQCmd, "show", []string{"1", "2"}[i], "--journal", path)
		if l.Event.Type == "test.crate" {
			wantOutput(t, show, 0, "  "+shown+"\n")
		} else {
			wantOutput(t, show, 0, "  (encrypted with key citizen-a, ", `"readable": {`, `"to": "a"`)
		}
		all += show.stdout
	}
	for line := range strings.Lines(MustRunCommand(t, inspect.NewEventsCmd, "--json", "--journal", path).stdout) {
		var e journal.EventRecord
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "test.crate" && (!bytes.HasPrefix(e.DataBase64, []byte("\x1b[2J\xff")) || e.Metadata["content-type"] != "application/x-crate") {
			t.Errorf("as JSON: %+v", e)
		}
		all += line
	}
	if strings.Contains(all, "\x1b") || strings.Contains(all, "\xff") || strings.Contains(all, "secret") {
		t.Errorf("raw bytes, or plain text, are shown: %q", all)
	}
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "list", "--journal", path), 0, "test.crate", "test.letter")
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", path), 0)
}
