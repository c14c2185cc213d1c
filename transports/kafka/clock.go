package kafka

import (
	"log/slog"
	"time"
)

// maxSkew is how far this machine's clock may be from the brokers'.
const maxSkew = time.Minute

// compare holds this machine's clock against the time that a broker has stamped a record with a moment ago, which it does in topics of
// its own time. The log hears of a difference, and topics that take the time from who writes get the broker's.
func (t *Transport) compare(stamped time.Time) {
	skew := time.Until(stamped)
	if skew.Abs() < maxSkew {
		skew = 0
	}
	if was := t.skew.Swap(int64(skew)); was != 0 || skew == 0 {
		return
	}
	t.cfg.Logger.Error("kafka: this machine's clock is not that of the brokers: set one of them; pauses and delayed events go by this one",
		slog.Duration("brokers_ahead_by", skew.Round(time.Second)))
}

// now is the time to stamp records with: the brokers', as far as it is known.
func (t *Transport) now() time.Time { return time.Now().Add(time.Duration(t.skew.Load())) }
