package plan

import (
	"slices"
	"testing"
	"time"
)

func TestStandby(t *testing.T) {
	two := linux(func(p *Pool) { p.Standby = 2 })
	ready := func(r *Runner) { r.Prepared = true }
	standby := func(name string, age time.Duration, mutate ...func(*Runner)) Runner {
		return runner(name, PhaseStandby, age, append([]func(*Runner){ready, func(r *Runner) { r.StartedAt = time.Time{} }}, mutate...)...)
	}
	const none = "prepare linux: the pool keeps 2 on standby and has 0"
	const one = "prepare linux: the pool keeps 2 on standby and has 1"
	waits := func(id string) string { return ": job " + id + " of a/app waits and no runner of the pool is free" }
	tests := []struct {
		name    string
		pool    Pool
		limit   int
		jobs    []Job
		runners []Runner
		edit    func(*Snapshot)
		want    []string
	}{
		{name: "made ahead", pool: two, want: []string{none, one}},
		{name: "one is being made", pool: two, runners: []Runner{runner("a", PhaseStandby, time.Second)}, want: []string{one}},
		{name: "as many as there are to be", pool: two, runners: []Runner{standby("a", time.Hour), standby("b", time.Hour)}},
		{name: "a job takes the oldest", pool: two, jobs: []Job{job(1, "linux")},
			runners: []Runner{standby("a", time.Minute), standby("b", time.Hour)}, want: []string{"start linux b" + waits("1")}},
		{name: "more jobs than are on standby", pool: two, jobs: []Job{job(1), job(2), job(3)},
			runners: []Runner{standby("a", time.Minute), standby("b", time.Hour)},
			want:    []string{"start linux b" + waits("1"), "start linux a" + waits("2"), "start linux" + waits("3")}},
		{name: "one that is being made cannot be started", pool: two, jobs: []Job{job(1)},
			runners: []Runner{runner("a", PhaseStandby, time.Second)}, want: []string{"start linux" + waits("1")}},
		{name: "none is made while one starts", pool: two, runners: []Runner{runner("a", PhaseStarting, time.Second)}},
		{name: "idle ones are started from them", pool: linux(func(p *Pool) { p.Idle, p.Standby = 1, 1 }),
			runners: []Runner{standby("a", time.Hour)}, want: []string{"start linux a: the pool keeps 1 idle and has 0"}},
		{name: "they are no places", pool: linux(func(p *Pool) { p.Max, p.Standby = 1, 1 }), limit: 1, jobs: []Job{job(1)},
			runners: []Runner{standby("a", time.Hour)}, want: []string{"start linux a" + waits("1")}},
		{name: "no more than may be started", pool: linux(func(p *Pool) { p.Max, p.Standby = 2, 2 }),
			runners: []Runner{runner("a", PhaseBusy, time.Minute, withJob)}, want: []string{"prepare linux: the pool keeps 2 on standby and has 0"}},
		{name: "no room", pool: linux(func(p *Pool) { p.Max, p.Standby = 1, 1 }),
			runners: []Runner{runner("a", PhaseBusy, time.Minute, withJob), standby("b", time.Hour)}},
		{name: "too many, the youngest go", pool: linux(func(p *Pool) { p.Standby = 1 }),
			runners: []Runner{standby("a", time.Minute), standby("b", time.Hour)}, want: []string{"remove linux a: the pool keeps 1 on standby and has 2"}},
		{name: "none in a pool that is closed", pool: linux(func(p *Pool) { p.Max, p.Standby = 0, 1 }),
			runners: []Runner{standby("a", time.Hour)}, want: []string{"remove linux a: the pool keeps 0 on standby and has 1"}},
		{name: "deleted at the server", pool: linux(func(p *Pool) { p.Standby = 1 }),
			runners: []Runner{standby("a", time.Hour, deleted)}, want: []string{"remove linux a: the server has deleted it"}},
		{name: "its pool is gone", pool: linux(func(p *Pool) { p.Name = "other" }),
			runners: []Runner{standby("a", time.Hour)}, want: []string{"remove linux a: its pool is no longer configured"}},
		{name: "jobs that cannot be read are not its", pool: linux(func(p *Pool) { p.Standby = 0 }), edit: func(s *Snapshot) { s.Unknown[instance] = "down" },
			runners: []Runner{standby("a", time.Hour)}, want: []string{"remove linux a: the pool keeps 0 on standby and has 1"}},
		{name: "nothing is made on hold", pool: linux(func(p *Pool) { p.Standby, p.Hold = 1, "refused" })},
		{name: "nothing is made ahead after failures", pool: linux(func(p *Pool) { p.Standby, p.Probe = 1, true })},
		{name: "nothing at all without the engine", pool: linux(), edit: func(s *Snapshot) { s.Hold = "down" }, runners: []Runner{standby("a", time.Hour)}},
		{name: "no new ones on a loaded host", pool: two, edit: func(s *Snapshot) { s.StartHold = "pressure" }},
		{name: "what ended goes", pool: two, runners: []Runner{standby("a", time.Hour), runner("b", PhaseExited, time.Second)},
			want: []string{"remove linux b: its container has ended", one}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			snap := Snapshot{Now: now, Unknown: map[Scope]string{}, Jobs: tt.jobs, Runners: tt.runners}
			if tt.edit != nil {
				tt.edit(&snap)
			}
			p := Compute(Spec{Pools: []Pool{tt.pool}, MaxRunners: tt.limit, DrainSettle: 10 * time.Second, CanNudge: true}, snap)
			if got := lines(p); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}
