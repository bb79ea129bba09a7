package simulate

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// monday is when the traces of the tests begin.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// pool is one for everybody's jobs.
func pool(name string, change ...func(*plan.Pool)) plan.Pool {
	p := plan.Pool{Name: name, Scope: plan.Scope{Kind: plan.ScopeInstance}, Labels: []string{name}, Max: 10, IdleTimeout: 5 * time.Minute, BootTimeout: time.Minute}
	for _, c := range change {
		c(&p)
	}
	return p
}

// fleet is one of ephemeral runners, but for the pools that are named.
func fleet(pools []plan.Pool, persistent ...string) Fleet {
	f := Fleet{Spec: plan.Spec{Pools: pools, DrainSettle: 10 * time.Second}, Ephemeral: make(map[string]bool), Polls: plan.Polls{Active: 250 * time.Millisecond, Usual: time.Second}}
	for _, p := range pools {
		f.Ephemeral[p.Name] = true
	}
	for _, name := range persistent {
		f.Ephemeral[name] = false
	}
	return f
}

// jobs is a trace of jobs for one label: an arrival and a duration each, in
// seconds.
func jobs(label string, times ...float64) []Job {
	var list []Job
	for i := 0; i < len(times); i += 2 {
		list = append(list, Job{Arrival: seconds(times[i]), Duration: seconds(times[i+1]), Labels: []string{label}, Repo: "acme/app"})
	}
	return list
}

var twenty = Options{ColdStarts: []time.Duration{20 * time.Second}, Seed: 1}

// The figures are worked out by hand. The daemon looks at 0 s and then each
// second; after something has happened each quarter of a second, and then more
// and more rarely.
func TestRun(t *testing.T) {
	idleOne := func(p *plan.Pool) { p.Idle = 1 }
	maxOne := func(p *plan.Pool) { p.Max = 1 }
	tests := []struct {
		name    string
		fleet   Fleet
		jobs    []Job
		options Options
		wait    Waits // with P99 as Max
		runners float64
		busy    float64
		starts  int
		peak    int
	}{
		// Seen at 1 s, online at 21 s, over at 81 s.
		{name: "from zero", fleet: fleet([]plan.Pool{pool("linux")}), jobs: jobs("linux", 0.4, 60),
			wait: Waits{P50: 20600 * time.Millisecond, P95: 20600 * time.Millisecond, Max: 20600 * time.Millisecond}, runners: 80, busy: 60, starts: 1, peak: 1},
		// The second one is seen at 1.25 s.
		{name: "more often while something happens", fleet: fleet([]plan.Pool{pool("linux")}), jobs: jobs("linux", 0.4, 60, 1.1, 60),
			wait: Waits{P50: 20150 * time.Millisecond, P95: 20600 * time.Millisecond, Max: 20600 * time.Millisecond}, runners: 80 + 80, busy: 120, starts: 2, peak: 2},
		// One runner from 0 s to 40 s, its successor from 30.2 s on: the polls
		// after 20 s, when the first came online, come there.
		{name: "an idle runner", fleet: fleet([]plan.Pool{pool("linux", idleOne)}), jobs: jobs("linux", 30, 10), runners: 40 + 9.8, busy: 10, starts: 2, peak: 2},
		// The first has it from 21 s to 31 s. Its place is free at once, the
		// next cycle comes 50 ms later, and the second is online at 51.05 s.
		{name: "no more than max", fleet: fleet([]plan.Pool{pool("linux", maxOne)}), jobs: jobs("linux", 1, 10, 1, 10),
			wait: Waits{P50: 20 * time.Second, P95: 50050 * time.Millisecond, Max: 50050 * time.Millisecond}, runners: 30 + 30, busy: 20, starts: 2, peak: 1},
		// The same runner takes both, and is idle for 69 s in between.
		{name: "persistent", fleet: fleet([]plan.Pool{pool("linux")}, "linux"), jobs: jobs("linux", 1, 10, 100, 10),
			wait: Waits{P95: 20 * time.Second, Max: 20 * time.Second}, runners: 20 + 10 + 69 + 10, busy: 20, starts: 1, peak: 1},
		// Idle since 31 s, drained at 331.1 s, told to stop at 341.2 s and seen to
		// have ended with the poll after; another one from 400.25 s on.
		{name: "idle timeout", fleet: fleet([]plan.Pool{pool("linux")}, "linux"), jobs: jobs("linux", 1, 10, 400, 10),
			wait: Waits{P50: 20 * time.Second, P95: 20250 * time.Millisecond, Max: 20250 * time.Millisecond}, runners: 340.6 + 30, busy: 20, starts: 2, peak: 1},
		// The second half only: the runner of the first job is idle in it from
		// 50 s to 100 s.
		{name: "warm-up", fleet: fleet([]plan.Pool{pool("linux")}, "linux"), jobs: jobs("linux", 1, 10, 100, 10),
			options: Options{ColdStarts: twenty.ColdStarts, WarmUp: 50 * time.Second}, runners: 60, busy: 10, starts: 0, peak: 1},
		{name: "what no pool serves", fleet: fleet([]plan.Pool{pool("linux")}), jobs: append(jobs("linux", 1, 10), jobs("windows", 2, 1000)...),
			wait: Waits{P50: 20 * time.Second, P95: 20 * time.Second, Max: 20 * time.Second}, runners: 30, busy: 10, starts: 1, peak: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.options
			if o.ColdStarts == nil {
				o = twenty
			}
			r, err := Run(Trace{Start: monday, Jobs: tt.jobs}, tt.fleet, o)
			if err != nil {
				t.Fatal(err)
			}
			tt.wait.P99 = tt.wait.Max
			if r.Wait != tt.wait || r.Runners != seconds(tt.runners) || r.Busy != seconds(tt.busy) || r.Starts != tt.starts || r.Peak != tt.peak {
				t.Errorf("got  %v, %s with %s busy, %d starts, peak %d\nwant %v, %s with %s busy, %d starts, peak %d",
					r.Wait, r.Runners, r.Busy, r.Starts, r.Peak, tt.wait, seconds(tt.runners), seconds(tt.busy), tt.starts, tt.peak)
			}
		})
	}
}

// The server gives a runner the oldest job that it matches, and a job waits for
// a window of the schedule if there is none before.
func TestRunByScheduleAndLabels(t *testing.T) {
	zero, two := 0, 2
	closed := pool("linux", func(p *plan.Pool) {
		p.Max = 0
		p.Windows = plan.NewWindows(plan.Window{Name: "office", Next: daily(8 * time.Hour), Duration: 10 * time.Hour, Min: &zero, Max: &two})
	})
	r, err := Run(Trace{Start: monday, Jobs: append(jobs("linux", 3600, 10), jobs("windows", 3700, 10)...)}, fleet([]plan.Pool{closed, pool("windows")}), twenty)
	if err != nil {
		t.Fatal(err)
	}
	// The polls go by the last cycle, which was one that came between two.
	linux, windows := 7*time.Hour+20*time.Second+100*time.Millisecond, 20*time.Second+500*time.Millisecond
	if r.Pools[0].Wait.Max != linux || r.Pools[1].Wait.Max != windows {
		t.Errorf("waits are %s and %s, want %s and %s", r.Pools[0].Wait.Max, r.Pools[1].Wait.Max, linux, windows)
	}
	if r.Unserved != 0 || r.Jobs != 2 {
		t.Errorf("%d of %d jobs are unserved", r.Unserved, r.Jobs)
	}
	closed.Windows = nil
	if r, err = Run(Trace{Start: monday, Jobs: jobs("linux", 3600, 10)}, fleet([]plan.Pool{closed}), twenty); err != nil || r.Unserved != 1 || r.Runners != 0 {
		t.Errorf("a pool that is always closed: %+v, %v", r, err)
	}
}

// daily is a window that begins each day, so long after midnight UTC.
func daily(at time.Duration) func(time.Time) time.Time {
	return func(after time.Time) time.Time {
		day := after.UTC().Truncate(24 * time.Hour)
		for !day.Add(at).After(after) {
			day = day.Add(24 * time.Hour)
		}
		return day.Add(at)
	}
}

func TestRunIsDeterministic(t *testing.T) {
	trace, f := randomLoad(7)
	o := Options{ColdStarts: []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}, Seed: 3}
	first, err := Run(trace, f, o)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Run(trace, f, o); !reflect.DeepEqual(first, again) {
		t.Error("the same seed gives another result")
	}
	o.Seed++
	if other, _ := Run(trace, f, o); reflect.DeepEqual(first, other) {
		t.Error("another seed gives the same result")
	}
}

func TestRunRefuses(t *testing.T) {
	trace, f := Trace{Start: monday, Jobs: jobs("linux", 10, 1)}, fleet([]plan.Pool{pool("linux")})
	for name, try := range map[string]func() error{
		"no pools":      func() error { _, err := Run(trace, fleet(nil), twenty); return err },
		"no jobs":       func() error { _, err := Run(Trace{Start: monday}, f, twenty); return err },
		"no cold start": func() error { _, err := Run(trace, f, Options{}); return err },
		"no pace":       func() error { _, err := Run(trace, Fleet{Spec: f.Spec}, twenty); return err },
		"all warm-up": func() error {
			_, err := Run(trace, f, Options{ColdStarts: twenty.ColdStarts, WarmUp: time.Minute})
			return err
		},
	} {
		if err := try(); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClairvoyant(t *testing.T) {
	one := []plan.Pool{pool("linux")}
	tests := []struct {
		name    string
		fleet   Fleet
		jobs    []Job
		runners float64
		starts  int
		peak    int
	}{
		{"a start for each", fleet(one), jobs("linux", 1, 10, 12, 10), 20 + 10 + 20 + 10, 2, 2},
		{"a pause shorter than a start", fleet(one, "linux"), jobs("linux", 1, 10, 12, 10), 20 + 10 + 1 + 10, 1, 1},
		{"a longer one", fleet(one, "linux"), jobs("linux", 1, 10, 31, 10), 2 * (20 + 10), 2, 1},
		// The one that ends at 40 s goes on at 45 s; the other one has been free
		// for 35 s.
		{"the one that ended last goes on", fleet(one, "linux"), jobs("linux", 0, 10, 0, 40, 45, 10), 30 + 60 + 5 + 10, 2, 2},
		{"what no pool serves", fleet(one), append(jobs("linux", 1, 10), jobs("windows", 1, 10)...), 30, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := foresight(Trace{Start: monday, Jobs: tt.jobs}, tt.fleet, twenty)
			if want := (Clairvoyant{Runners: seconds(tt.runners), Busy: c.Busy, Starts: tt.starts, Peak: tt.peak}); c != want {
				t.Errorf("got %v, want %v", c, want)
			}
		})
	}
}
