package postgres_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestTransport holds the transport to every promise of the seam.
func TestTransport(t *testing.T) {
	wiretest.Transport(t, carrier(servers.Postgres(t)))
}

// TestPositions holds it to what it promises of positions.
func TestPositions(t *testing.T) {
	wiretest.Positions(t, carrier(servers.Postgres(t)))
}

func carrier(url string) wiretest.Harness {
	return wiretest.Harness{
		Open: func(tb testing.TB, group, prefix string, dial wiretest.Dialer) wire.Transport {
			return MustNew(tb, postgres.Config{URL: url, Group: group, Prefix: prefix, Dial: dial, Timeout: 3 * time.Second})
		},
		CanCut: true,
		Foreign: func(tb testing.TB, m wiretest.Foreign) error {
			var key any // NULL
			if m.Key != nil {
				key = string(m.Key)
			}
			if !utf8.Valid(m.Key) {
				return errors.ErrUnsupported
			}
			for _, value := range m.Headers {
				if !utf8.ValidString(value) {
					return errors.ErrUnsupported
				}
			}
			headers, err := json.Marshal(m.Headers)
			if err != nil {
				return err
			}
			_, err = MustOpen(tb, url).ExecContext(tb.Context(), `INSERT INTO "`+m.Prefix+`_`+m.Topic+`_messages" (uuid, key, payload, metadata)
				VALUES ('', $1, $2, $3)`, key, m.Payload, headers)
			return err
		},
		Forget: func(tb testing.TB, group, prefix, topic string) {
			MustExec(tb, MustOpen(tb, url), `DELETE FROM "`+prefix+`_`+topic+`_offsets" WHERE consumer_group = $1`, group)
		},
	}
}
