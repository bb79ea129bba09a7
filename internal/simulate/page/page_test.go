package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/simulate"
)

// small is the report of a few jobs, one of which no pool serves, for a pool
// whose name would be markup.
func small(t *testing.T, jobs ...simulate.Job) *simulate.Report {
	t.Helper()
	p := plan.Pool{Name: "<b>linux&", Scope: plan.Scope{Kind: plan.ScopeInstance}, Labels: []string{"linux"}, Max: 4, Idle: 1, IdleTimeout: time.Minute}
	f := simulate.Fleet{Spec: plan.Spec{Pools: []plan.Pool{p}}, Ephemeral: map[string]bool{p.Name: true}, Polls: plan.Polls{Active: time.Second, Usual: time.Second}}
	trace := simulate.Trace{Start: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), Jobs: jobs}
	r, err := simulate.Compare(trace, f, simulate.Options{ColdStarts: []time.Duration{20 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func page(t *testing.T, r *simulate.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, "jobs <i>.csv", r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	text := page(t, small(t,
		simulate.Job{Arrival: time.Hour, Duration: time.Minute, Labels: []string{"linux"}},
		simulate.Job{Arrival: 90 * time.Minute, Duration: time.Minute, Labels: []string{"windows"}},
		simulate.Job{Arrival: 50 * time.Hour, Duration: time.Minute, Labels: []string{"linux"}}))
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && regexp.MustCompile(`^(script|link|img|iframe|object|image|use|foreignObject|b|i)$`).MatchString(e.Name.Local) {
			t.Errorf("the page has a <%s>", e.Name.Local)
		}
	}
	rest := regexp.MustCompile(`xmlns(:xlink)?="[^"]*"`).ReplaceAllString(text, "")
	for _, no := range []string{"http:", "https:", "//", "url(", "@import", "javascript"} {
		if strings.Contains(rest, no) {
			t.Errorf("the page has %q", no)
		}
	}
	for _, want := range []string{"jobs &lt;i&gt;.csv", "&lt;b&gt;linux&amp;", "3 jobs in 2.1 days", "1 of them found no runner", "prefers-color-scheme: dark", "Monday, 2 March 2026"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(text, "<svg "); n != 8 {
		t.Errorf("%d pictures, want 4 for light screens and 4 for dark ones", n)
	}
}

func TestPageOfOneJob(t *testing.T) {
	if text := page(t, small(t, simulate.Job{Duration: time.Second, Labels: []string{"linux"}})); !strings.Contains(text, "1 job in 0.0 days") {
		t.Error("the page of one job lacks its heading")
	}
}

func TestPageIsDeterministic(t *testing.T) {
	job := simulate.Job{Arrival: time.Hour, Duration: time.Minute, Labels: []string{"linux"}}
	if first, second := page(t, small(t, job)), page(t, small(t, job)); first != second {
		t.Error("two pages of the same report differ")
	}
}

func TestWritePassesErrorsOn(t *testing.T) {
	full := errors.New("disk full")
	if err := Write(failing{full}, "jobs", small(t, simulate.Job{Duration: time.Second, Labels: []string{"linux"}})); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
