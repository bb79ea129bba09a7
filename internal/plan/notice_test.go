package plan

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// eventKinds are all kinds of events, as they stand in the code.
func eventKinds(t *testing.T) []EventKind {
	t.Helper()
	code, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []EventKind
	for _, m := range regexp.MustCompile(`EventKind = "([a-z_]+)"`).FindAllSubmatch(code, -1) {
		all = append(all, EventKind(m[1]))
	}
	if len(all) < 20 {
		t.Fatalf("only %d kinds found", len(all))
	}
	return all
}

func TestEveryKindHasATitle(t *testing.T) {
	for _, k := range eventKinds(t) {
		if titles[k] == "" {
			t.Errorf("%s has no title", k)
		}
	}
	if len(titles) != len(eventKinds(t)) {
		t.Errorf("%d titles for %d kinds", len(titles), len(eventKinds(t)))
	}
}

func TestLines(t *testing.T) {
	tests := map[string]struct {
		event Event
		want  string
	}{
		"a pool":      {Event{Kind: EventBreakerOpened, Pool: "linux", Text: "no image"}, "the runners of a pool fail (pool linux): no image"},
		"a job":       {Event{Kind: EventJobOverdue, Pool: "linux", Job: 7, Repo: "acme/app", Text: "for 10m"}, "a job waits for too long (pool linux, job 7 of acme/app): for 10m"},
		"only an id":  {Event{Kind: EventJobGone, Job: 7}, "a job waits no more (job 7)"},
		"a runner":    {Event{Kind: EventRunner, Pool: "linux", Runner: "linux-1", Phase: PhaseIdle}, "a runner has come into another phase (pool linux, runner linux-1, idle)"},
		"somebody":    {Event{Kind: EventPaused, Pool: "linux", Actor: "alice"}, "a pool was paused (pool linux, by alice)"},
		"nothing":     {Event{Kind: EventDaemonStops}, "scaler stops"},
		"a new kind":  {Event{Kind: "later_kind"}, "later_kind"},
		"its subject": {Event{Kind: EventProblem, Text: "docker: no answer"}, "something keeps scaler from its work: docker: no answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.event.Line(); got != tt.want {
				t.Errorf("Line() = %q, want %q", got, tt.want)
			}
		})
	}
	n := Notice{Test: true, Events: []Event{{Kind: EventDaemonStops}, {Kind: EventDaemonStarted}}, Dropped: 2}
	if got, want := n.Lines(), "This is a test.\nscaler stops\nscaler has started\nNot told since the last notification: 2 more."; got != want {
		t.Errorf("Lines() = %q, want %q", got, want)
	}
}

func TestLevelOfNotice(t *testing.T) {
	tests := map[Level][]EventKind{
		LevelInfo: {EventCorpse, EventPaused},
		LevelGood: {EventCorpse, EventBreakerClosed},
		LevelBad:  {EventBreakerClosed, EventProblem, EventCorpse},
	}
	for want, kinds := range tests {
		if got := SampleNotice(kinds...).Level(); got != want {
			t.Errorf("%v: level %s, want %s", kinds, got, want)
		}
	}
}

func TestNoticeTemplates(t *testing.T) {
	tests := map[string]struct{ template, want string }{
		"text for JSON":     {`{"a": {{json (index .Events 0).Text}}}`, `{"a": "<a> \"b\"` + `\n@alice #5 & *c*"}`},
		"all of it":         {`{{json .Events}}`, `[{"seq":0,"at":"0001-01-01T00:00:00Z","kind":"problem","text":"<a> \"b\"\n@alice #5 & *c*"}]`},
		"for Slack":         {`{{range .Events}}{{slack .Text}}{{end}}`, "&lt;a&gt; \"b\"\n@alice #5 &amp; *c*"},
		"for Markdown":      {`{{range .Events}}{{markdown .Text}}{{end}}`, "\\<a\\> \"b\"\n@\u2060alice #\u20605 \\& \\*c\\*"},
		"for HTML":          {`{{range .Events}}{{html .Text}}{{end}}`, "&lt;a&gt; &#34;b&#34;\n@alice #5 &amp; *c*"},
		"shortened":         {`{{range .Events}}{{cut 5 .Text}}{{end}}`, "<a> …"},
		"not shortened":     {`{{range .Events}}{{cut 500 .Kind.Title}}{{end}}`, "something keeps scaler from its work"},
		"a level":           {`{{if eq .Level "bad"}}bad{{end}}`, "bad"},
		"without a log":     {`{{discreet "it exited with 1, last log lines: hunter2"}}, {{discreet "down"}}`, "it exited with 1, down"},
		"nothing":           {"\n{{if .Test}}test{{end}}\n", ""},
		"without templates": {"", `{"id":"7","at":"0001-01-01T00:00:00Z","host":"","instance":"","version":"","events":[{"seq":0,"at":"0001-01-01T00:00:00Z","kind":"problem","text":"<a> \"b\"\n@alice #5 & *c*"}],"dropped":0}`},
	}
	n := Notice{ID: "7", Events: []Event{{Kind: EventProblem, Text: "<a> \"b\"\n@alice #5 & *c*"}}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tmpl, err := ParseNoticeTemplate(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Render(n)
			if err != nil || string(got) != tt.want {
				t.Errorf("Render() = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestNoticeTemplateFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{{range .Events}}{{range $.Events}}{{range $.Events}}{{printf "%1000000d" 1}}{{end}}{{end}}{{end}}`: "more than 256 KiB",
		`{{.Nope}}`:             "can't evaluate field Nope",
		`{{(index .Events 9)}}`: "out of range",
		`{{cut 0 "a"}}`:         "give 1 or more",
		`{{template "a"}}`:      "not defined",
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`: "exceeded maximum template depth",
	} {
		tmpl, err := ParseNoticeTemplate(text)
		if err == nil {
			_, err = tmpl.Render(SampleNotice(EventProblem, EventCorpse))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if _, err := ParseNoticeTemplate("{{nope}}"); err == nil {
		t.Error("an unknown function is taken")
	}
}

func TestSampleNoticeIsWholeJSON(t *testing.T) {
	n := SampleNotice(eventKinds(t)...)
	body, err := NoticeTemplate{}.Render(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Notice
	if err := json.Unmarshal(body, &back); err != nil || len(back.Events) != len(n.Events) || !back.Test {
		t.Errorf("back: %+v, %v", back, err)
	}
}
