package kafka

import (
	"log/slog"
	"time"
)

// maxSkew is how far this machine's clock may differ from the brokers' clocks.
const maxSkew = time.Minute

// compareClock compares this machine's clock with stamped, the time that a broker gave to a record just now. Brokers do
// so in topics with their own time (LogAppendTime). A difference is logged, and from then on records get the broker's
// time (now), which counts in the other topics.
func (t *Transport) compareClock(stamped time.Time) {
	skew := time.Until(stamped)
	if skew.Abs() < maxSkew {
		skew = 0
	}
	if was := t.skew.Swap(int64(skew)); was != 0 || skew == 0 {
		return
	}
	t.cfg.Logger.Error("kafka: this machine's clock differs from the brokers' clocks: correct the clock that is wrong; retries and delayed events use this machine's",
		slog.Duration("brokers_ahead_by", skew.Round(time.Second)))
}

// now returns the time for new records: the brokers' time, as far as it is known.
func (t *Transport) now() time.Time { return time.Now().Add(time.Duration(t.skew.Load())) }
