package httpserve

import (
	"errors"
	"fmt"
	"testing"

	"github.com/troupebus/troupe/bus"
)

func TestErrorsOfLinksTellNoPasswords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cannot reach postgres://ada:hunter2@h:5432/d: refused": "cannot reach postgres://ada:***@h:5432/d: refused",
		"postgres://ada:hun@ter2@h/d":                           "postgres://ada:***@h/d",
		"host=h password=hunter2 user=ada":                      "host=h password=*** user=ada",
		`{"sasl.Password": "hunter 2"}`:                         `{"sasl.Password": ***}`,
		"PASSWORD='hunter 2' is wrong":                          "PASSWORD=*** is wrong",
		"broker kafka-1:9092: password is wrong":                "broker kafka-1:9092: password is wrong",
		"http://h:80/a@b is fine":                               "http://h:80/a@b is fine",
	} {
		v := ViewLink(bus.Link{Err: fmt.Errorf("wrapped: %w", errors.New(text))})
		if v.Error != "wrapped: "+want {
			t.Errorf("shown as %q, want %q", v.Error, want)
		}
	}
}

// A warning about a topic is shown, without passwords, and keeps nobody from being ready.
func TestLinkThatWarns(t *testing.T) {
	t.Parallel()
	l := ViewLink(bus.Link{Topic: "order", Out: true, Warning: "set it with kafka://joe:secret@host"})
	if !l.OK() || l.Warning != "set it with kafka://joe:***@host" {
		t.Errorf("it is %+v", l)
	}
}
