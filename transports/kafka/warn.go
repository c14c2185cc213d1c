package kafka

import "strings"

// The kinds of warnings about a topic that works.
const (
	foreignTime  = settingTime
	noClaim      = "claim"
	olderJournal = "older"
)

// warnings implements wire.Features.Warnings.
func (t *Transport) warnings() map[string]string {
	all := map[string]string{}
	for topic, text := range t.warned.ByTopic() {
		all[strings.TrimPrefix(topic, t.cfg.Prefix+".")] = text
	}
	return all
}
