package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestResend replaces a cluster by an empty one: after a resend a deployable sends its old events again.
func TestResend(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	p.MustKafka(t)
	p.MustFront(t)
	order := p.MustPlace(t)
	for p.front.MustAsk(t, "GET", "/readyz", "", http.StatusOK)["links"].([]any)[0].(map[string]any)["behind"] != 0.0 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	front := filepath.Join(p.folder, "front.db")
	wantOutput(t, MustRunCommand(t, "resend", "--journal", front), exitWrong, "in use")
	p.front.MustStop(t)
	p.kafka.Close()
	p.MustKafka(t)

	wantOutput(t, MustRunCommand(t, "resend", "--journal", front, "--since", "0s"), 0, "nothing is to be sent again")
	wantOutput(t, MustRunCommand(t, "resend", "--journal", front), 0, "events will be read again")
	wantOutput(t, MustRunCommand(t, "resend", "--journal", front+".gone"), exitWrong, "there is no journal")
	wantOutput(t, MustRunCommand(t, "resend", "--since", "yesterday"), exitUsage, "a duration before now")
	p.MustFront(t)
	p.MustBack(t)
	p.MustEnd(t, order)
	p.front.MustStopInTrouble(t) // it logs that the topics were created anew
	if said := p.front.log.String(); !strings.Contains(said, "the topic was made anew") {
		t.Errorf("the deployable whose topics were lost says nothing of it:\n%s", said)
	}
	p.back.MustStop(t)
}
