package simulate

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

const heading = "arrival_s,duration_s,labels,repo\n"

func TestRead(t *testing.T) {
	want := []Job{
		{Arrival: 500 * time.Millisecond, Duration: time.Minute, Labels: []string{"linux", "gpu"}, Repo: "acme/app"},
		{Arrival: 2 * time.Second, Duration: 1500 * time.Millisecond, Repo: ""},
		{Arrival: 2 * time.Second, Labels: []string{"linux"}, Repo: "acme/app"},
	}
	tests := []struct{ name, text string }{
		{"CSV", heading + "2,1.5,,\n2,0,linux,acme/app\n0.5,60,linux gpu,acme/app\n"},
		{"CSV with semicolons, spaces and quotes", heading + "0.5, 6e1, linux; gpu ,\"acme/app\"\n2,1.5,,\n\n2,0,;linux;,acme/app\n"},
		{"CSV with columns in another order and more of them", "\ufeffrepo,name,labels,duration_s,arrival_s\r\nacme/app,x,linux gpu,60,0.5\r\n,y,,1.5,2\r\nacme/app,z,linux,0,2\r\n"},
		{"JSON", `{"arrival_s":0.5,"duration_s":60,"labels":["linux","gpu"],"repo":"acme/app"}` + "\n\n" +
			`{"arrival_s":2,"duration_s":1.5,"labels":"","repo":"","name":"y"}` + "\n" + `{"repo":"acme/app","labels":"linux","duration_s":0,"arrival_s":2}`},
		{"Unix times", heading + "1772409600.5,60,linux gpu,acme/app\n1772409602,1.5,,\n1772409602,0,linux,acme/app\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read("jobs", strings.NewReader(tt.text), monday)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.Jobs {
				if len(got.Jobs[i].Labels) == 0 {
					got.Jobs[i].Labels = nil
				}
			}
			if !reflect.DeepEqual(got.Jobs, want) || !got.Start.Equal(monday) {
				t.Errorf("got from %s\n%+v\nwant from %s\n%+v", got.Start, got.Jobs, monday, want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const good = `{"arrival_s":1,"duration_s":1,"labels":[],"repo":""}` + "\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "jobs:1:1: the file is empty"},
		{"heading alone", heading, "jobs:1:1: the trace has no jobs"},
		{"no heading", "1,2,linux,a/b\n", "jobs:1:1: the heading has no column arrival_s: it has to be arrival_s,duration_s,labels,repo"},
		{"missing column", "arrival_s,duration_s,repo\n1,2,a/b\n", "jobs:1:1: the heading has no column labels: it has to be arrival_s,duration_s,labels,repo"},
		{"too few fields", heading + "1,2,linux,a/b\n1,2\n", "jobs:3:1: wrong number of fields"},
		{"open quote", heading + "1,2,\"linux,a/b\n", "jobs:2:16: extraneous or missing \" in quoted-field"},
		{"no number", heading + "1,2,linux,a/b\n1,2m,linux,a/b\n", `jobs:3:3: duration_s: "2m" is not a number of seconds`},
		{"no arrival", heading + ",2,linux,a/b\n", `jobs:2:1: arrival_s: "" is not a number of seconds`},
		{"negative duration", heading + "1,-2,linux,a/b\n", "jobs:2:3: duration_s: -2 is not from 0 to 3.16224e+07 seconds"},
		{"endless duration", heading + "1,inf,linux,a/b\n", "jobs:2:3: duration_s: +Inf is not from 0 to 3.16224e+07 seconds"},
		{"no duration at all", heading + "1,nan,linux,a/b\n", "jobs:2:3: duration_s: NaN is not from 0 to 3.16224e+07 seconds"},
		{"negative arrival", heading + "-1,2,linux,a/b\n", "jobs:2:1: arrival_s: -1 is neither seconds from the start nor a Unix time"},
		{"Unix time in milliseconds", heading + "1772409600500,2,linux,a/b\n", "jobs:2:1: arrival_s: 1.7724096005e+12 is neither seconds from the start nor a Unix time"},
		{"Unix times and others", heading + "1772409600,2,linux,a/b\n5,2,linux,a/b\n", "jobs:3:1: arrival_s: 5: some arrivals are Unix times (1000000000 and more), others are not"},
		{"too long a trace", heading + "1,2,linux,a/b\n  400000000,2,linux,a/b\n", "jobs:3:3: arrival_s: 4e+08 is more than ten years from the first one"},
		{"no repository", heading + "1,2,linux,app\n", `jobs:2:11: repo: "app" is not OWNER/NAME`},
		{"JSON cut short", good + `{"arrival_s":1,"dur`, "jobs:2:19: unexpected end of JSON input"},
		{"JSON with a text for a number", good + `{"arrival_s":"1","duration_s":1,"labels":[],"repo":""}`, "jobs:2:2: arrival_s: expected a number of seconds, found string"},
		{"JSON with a number for labels", good + `{"arrival_s":1,"duration_s":1,"labels":7,"repo":""}`, "jobs:2:31: labels: expected a list of texts, found number"},
		{"JSON without a repository", good + `{"arrival_s":1,"duration_s":1,"labels":[]}`, "jobs:2:1: repo is missing"},
		{"JSON that is a list", good + `[1]`, "jobs:2:1: expected a JSON object, found array"},
		{"JSON with a negative duration", good + `{"arrival_s":1,"duration_s":-1,"labels":[],"repo":""}`, "jobs:2:16: duration_s: -1 is not from 0 to 3.16224e+07 seconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("jobs", strings.NewReader(tt.text), monday)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if _, ok := errors.AsType[*FaultError](err); !ok {
				t.Errorf("%T is no FaultError", err)
			}
		})
	}
}

func TestReadPassesOnWhatTheFileSays(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, text := range []string{"", heading, `{"arrival_s":1,"duration_s":1,"labels":[],"repo":""}` + "\n"} {
		if _, err := Read("jobs", io.MultiReader(strings.NewReader(text), failing{broken}), monday); !errors.Is(err, broken) {
			t.Errorf("after %q: %v", text, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatIsWrittenCanBeRead(t *testing.T) {
	trace, _ := randomLoad(5)
	trace.Start = monday
	for name, write := range map[string]func(io.Writer, Trace) error{"CSV": WriteCSV, "JSON": WriteJSON} {
		var b strings.Builder
		if err := write(&b, trace); err != nil {
			t.Fatal(err)
		}
		got, err := Read(name, strings.NewReader(b.String()), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, Trace{Start: got.Start, Jobs: trace.Jobs}) || !got.Start.Equal(monday) {
			t.Errorf("%s is read from %s as other jobs:\n%s", name, got.Start, b.String())
		}
	}
}
