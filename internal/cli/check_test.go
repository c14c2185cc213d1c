package cli

import (
	"encoding/json"
	"github.com/troupebus/troupe/internal/cli/console"
	"strings"
	"testing"
)

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	const kafka = "transport: kafka\nkafka: {brokers: 'h:1'}\n"
	front := "name: front\nmodules: [order, notification, inventory]\n" + kafka
	back := "name: back\nmodules: [payment, shipping]\nhttp: 127.0.0.1:0\n" + kafka
	for _, c := range []struct {
		name  string
		files []string
		code  int
		wants []string
	}{
		{"that fit", []string{front, back + "journal: back.db\n"}, 0, []string{
			"front runs order, notification, inventory; over kafka h:1, topics troupe.*; journal troupe.db, http 127.0.0.1:8080", "the deployables fit together"}},
		{"with a warning", []string{front, back}, 0, []string{"warning", "have the same journal, troupe.db", "the deployables fit together"}},
		{"with several mistakes", []string{front, strings.ReplaceAll(back, "shipping", "order") + "prefix: x\n"}, console.ExitWrong, []string{
			"wrong", "module order runs in front", "module shipping runs nowhere", "prefix is x in back", "3 wrong"}},
		{"of which one is not there", []string{front, ""}, console.ExitWrong, []string{"there is no such file", "1 wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var files []string
			for _, text := range c.files {
				path := "/nowhere.yaml"
				if text != "" {
					path = MustWriteSettings(t, text)
				}
				files = append(files, path)
			}
			for _, asJSON := range []bool{false, true} {
				var out strings.Builder
				cmd := newCheckCmd(&console.Options{Program: shop(), Stdout: &out, Json: asJSON})
				cmd.SilenceErrors, cmd.SilenceUsage = true, true
				args := files
				if asJSON { // the files may be named as for run
					args = []string{"--config", files[0], "--config=" + files[1]}
				}
				cmd.SetArgs(args)
				if err := cmd.ExecuteContext(t.Context()); console.ExitCode(err) != c.code {
					t.Errorf("exit code %d, want %d: %v", console.ExitCode(err), c.code, err)
				}
				if !asJSON {
					for _, want := range c.wants {
						if !strings.Contains(out.String(), want) {
							t.Errorf("%q is not in\n%s", want, out.String())
						}
					}
					continue
				}
				var got struct {
					OK                           bool
					Deployables, Wrong, Warnings []map[string]any
				}
				if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.OK != (c.code == 0) || got.OK != (len(got.Wrong) == 0) || got.Deployables == nil || got.Warnings == nil {
					t.Errorf("printed %s: %v", out.String(), err)
				}
			}
		})
	}
}
