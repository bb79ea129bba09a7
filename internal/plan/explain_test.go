package plan

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkExplained holds the explanations of a world to the plan that is made of
// it.
func checkExplained(t *testing.T, spec Spec, snap Snapshot) {
	t.Helper()
	v := View{Spec: spec, Snap: snap, QueueSize: len(snap.Jobs)}
	before := Compute(spec, snap)
	some := before.Decisions[:min(len(before.Decisions), 10)]
	for _, d := range some {
		if d.Job.ID == 0 {
			continue
		}
		e, err := v.Explain(Query{Job: d.Job.ID})
		if err != nil || e.State != StateQueued || e.Job.Pool != d.Pool || e.Job.Reason != d.Reason || e.Job.Next != d.Next {
			t.Fatalf("job %d: %+v, %v; the plan says %+v", d.Job.ID, e, err, d)
		}
		checkAnswers(t, spec, e, d)
	}
	for _, like := range some {
		e, err := v.Explain(Query{Labels: like.Job.Labels, Repo: like.Job.Repo})
		if err != nil || e.State != StateHypothetical {
			t.Fatalf("a job like %d: %+v, %v", like.Job.ID, e, err)
		}
		d := Decision{Job: like.Job, Pool: e.Job.Pool, Reason: e.Job.Reason}
		checkAnswers(t, spec, e, d)
		// The youngest job takes nobody's place.
		if !like.Served() && e.Job.Pool != "" {
			t.Errorf("a job like %d would be served by %s, while %d is not: %s", like.Job.ID, e.Job.Pool, like.Job.ID, like.Reason)
		}
	}
	after := Compute(spec, snap)
	for i, d := range before.Decisions {
		if got := after.Decisions[i]; got.Pool != d.Pool || got.Reason != d.Reason {
			t.Errorf("explaining has changed what becomes of job %d: %+v, was %+v", d.Job.ID, got, d)
		}
	}
}

func checkAnswers(t *testing.T, spec Spec, e Explanation, d Decision) {
	t.Helper()
	serving := 0
	for i, a := range e.Pools {
		p := spec.Pools[i]
		if a.Pool != p.Name || a.Fits != p.Serves(*d.Job) {
			t.Errorf("job %d: pool %+v, fits %v", d.Job.ID, a, p.Serves(*d.Job))
		}
		if a.Serves {
			serving++
		}
		if a.Serves && (!a.Fits || len(a.Obstacles) > 0 || d.Pool != a.Pool) {
			t.Errorf("job %d goes to %q, and pool %+v serves it", d.Job.ID, d.Pool, a)
		}
		if len(a.Obstacles) == 0 && !d.Served() {
			t.Errorf("job %d is not served, and nothing keeps %s from it: %s", d.Job.ID, a.Pool, d.Reason)
		}
		for k, o := range a.Obstacles {
			between := o.Kind == ObstacleLabel || o.Kind == ObstacleScope
			if o.Reason == "" || between == a.Fits {
				t.Errorf("job %d: pool %s has the obstacle %+v, fits %v", d.Job.ID, a.Pool, o, a.Fits)
			}
			if k == 0 && a.Fits && !d.Served() && !strings.Contains(d.Reason, o.Reason) {
				t.Errorf("job %d: %q does not say that %q", d.Job.ID, d.Reason, o.Reason)
			}
		}
	}
	if want := map[bool]int{true: 1}[d.Served()]; serving != want {
		t.Errorf("job %d: %d pools serve it, want %d", d.Job.ID, serving, want)
	}
	for _, line := range e.Summary {
		if !strings.HasSuffix(line, ".") || strings.Contains(line, "..") {
			t.Errorf("job %d: %q is no sentence", d.Job.ID, line)
		}
	}
	if len(e.Summary) == 0 || !d.Served() && !strings.Contains(e.Summary[0], d.Reason) {
		t.Errorf("job %d: the summary %q does not say that %q", d.Job.ID, e.Summary, d.Reason)
	}
}

func TestExplainAgreesWithThePlan(t *testing.T) {
	for seed := range uint64(1000) {
		make := world
		if seed%10 == 0 {
			make = crowd
		}
		spec, snap := make(rand.New(rand.NewPCG(seed, 5)))
		checkExplained(t, spec, snap)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestExplainSummary(t *testing.T) {
	small := linux(func(p *Pool) { p.Max = 1 })
	gpu := linux(func(p *Pool) { p.Name, p.Labels, p.Scope = "gpu", []string{"linux", "gpu"}, orgA })
	free := runner("free", PhaseIdle, 20*time.Second)
	onPage := job(7, "linux")
	onPage.URL = "https://git.example.com/a/app/actions/runs/3/jobs/0"
	tests := []struct {
		name  string
		view  View
		query Query
		state JobState
		pool  string
		want  []string
	}{
		{name: "a free runner", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{free}}},
			query: Query{Job: 1}, state: StateQueued, pool: "linux", want: []string{"A runner of pool linux is free and takes it at its next look, within seconds."}},
		{name: "a free runner that does not look", view: View{Spec: Spec{CanNudge: true, Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{seen(job(1), 12*time.Second)}, Runners: []Runner{free}}},
			query: Query{Job: 1}, state: StateQueued, pool: "linux", want: []string{"A runner of pool linux is free and takes it at its next look, within seconds.",
				"A job has waited beside it for 8s or more, so one is woken, every 15s."}},
		{name: "one that cannot be woken", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{seen(job(1), 12*time.Second)}, Runners: []Runner{free}}},
			query: Query{Job: 1}, state: StateQueued, pool: "linux", want: []string{"A runner of pool linux is free and takes it at its next look, within seconds.",
				"A job has waited beside it for 8s or more, so it is replaced by another one."}},
		{name: "a starting runner", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1), job(2)},
			Runners: []Runner{free, runner("late", PhaseStarting, time.Hour), runner("new", PhaseStarting, 5*time.Second)}}},
			query: Query{Job: 2}, state: StateQueued, pool: "linux", want: []string{"Runner new of pool linux is starting, for 5s, and takes it once it is online." +
				" If it is not by 12:01:55 UTC another one is started."}},
		{name: "a new container", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("old", PhaseExited, time.Hour, lasting)}}},
			query: Query{Job: 1}, state: StateQueued, pool: "linux", want: []string{"A runner of pool linux is getting its new container and takes it once it is online."}},
		{name: "a start", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1)}}},
			query: Query{Job: 1}, state: StateQueued, pool: "linux", want: []string{"Pool linux starts a runner for it now, since none of its runners is free."}},
		{name: "a pool that is full", view: View{Spec: Spec{Pools: []Pool{small}}, Snap: Snapshot{Jobs: []Job{job(1), job(2), job(3), job(4, "gpu"), job(5, "x64")}}},
			query: Query{Job: 5}, state: StateQueued, want: []string{"No runner is there or on its way for it: pool linux is at its max of 1.",
				"It can get a runner when the one runner of pool linux is free or gone.", "2 older jobs that these pools can serve come before it."}},
		{name: "behind one older job", view: View{Spec: Spec{Pools: []Pool{small}}, Snap: Snapshot{Jobs: []Job{job(1), job(2), job(3)}}},
			query: Query{Job: 3}, state: StateQueued, want: []string{"No runner is there or on its way for it: pool linux is at its max of 1.",
				"It can get a runner when the one runner of pool linux is free or gone.", "An older job that these pools can serve comes before it."}},
		{name: "a pool that is shut", view: View{Spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 0 })}}, Snap: Snapshot{Jobs: []Job{job(1)}}},
			query: Query{Job: 1}, state: StateQueued, want: []string{"No runner is there or on its way for it: pool linux is at its max of 0.", "It can get a runner once the configuration is another."}},
		{name: "two pools, one of which knows when", view: View{Spec: Spec{Pools: []Pool{small, gpu}}, Snap: Snapshot{Jobs: []Job{job(1), job(2, "linux")}}},
			query: Query{Job: 2}, state: StateQueued, pool: "gpu", want: []string{"Pool gpu starts a runner for it now, since none of its runners is free."}},
		{name: "the earliest of what may come", view: View{Spec: Spec{Pools: []Pool{
			small, linux(func(p *Pool) {
				p.Name, p.Hold, p.HoldKind, p.RetryAt = "b", "it fails", ObstacleBreaker, now.Add(time.Minute)
			}),
			linux(func(p *Pool) {
				p.Name, p.Hold, p.HoldKind, p.RetryAt = "c", "it fails", ObstacleBreaker, now.Add(time.Second)
			})}},
			Snap: Snapshot{Jobs: []Job{job(1), job(2)}}}, query: Query{Job: 2}, state: StateQueued,
			want: []string{"No runner is there or on its way for it: pool linux is at its max of 1; pool b is on hold: it fails; pool c is on hold: it fails.",
				"It can get a runner at 12:00:01 UTC, when pool c tries again, or when the one runner of pool linux is free or gone."}},
		{name: "no pool has the labels", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1, "arm64")}}},
			query: Query{Job: 1}, state: StateQueued, want: []string{"No runner is there or on its way for it: no pool has all of runs-on [arm64]: pool linux lacks arm64.",
				"It waits until a pool has all of the labels. Or correct its runs-on."}},
		{name: "a pool that has them elsewhere", view: View{Spec: Spec{Pools: []Pool{gpu}}}, query: Query{Labels: []string{"gpu"}, Repo: "b/lib"}, state: StateHypothetical,
			want: []string{"No runner is there or on its way for it: no pool's scope covers b/lib.",
				"It waits until a pool with these labels has a registration token whose scope covers b/lib."}},
		{name: "no pool at all fits", view: View{Spec: Spec{Pools: []Pool{gpu}}}, query: Query{Labels: []string{"mac"}, Repo: "b/lib"}, state: StateHypothetical,
			want: []string{"No runner is there or on its way for it: no pool's scope covers b/lib.",
				"It waits until a pool has all of the labels, and a registration token whose scope covers b/lib."}},
		{name: "no repository", view: View{Spec: Spec{Pools: []Pool{linux(), gpu}}}, query: Query{Labels: []string{"gpu"}}, state: StateHypothetical,
			want: []string{"No runner is there or on its way for it: no pool has all of runs-on [gpu]: pool gpu has it, but its scope org:a does not cover every repository; pool linux lacks gpu.",
				"It waits until a pool with these labels has a registration token whose scope covers every repository.",
				"No repository was given, so that only pools fit whose scope is the whole server."}},
		{name: "behind jobs that were not read", view: View{Spec: Spec{Pools: []Pool{linux()}}, QueueSize: 9, Snap: Snapshot{Jobs: []Job{job(1)}}}, query: Query{Labels: []string{"linux"}},
			state: StateHypothetical, pool: "linux", want: []string{"Pool linux starts a runner for it now, since none of its runners is free.",
				"8 more jobs are queued that were not read. Those that these pools can serve come before it."}},
		{name: "no pool", query: Query{Labels: []string{"linux"}}, state: StateHypothetical, want: []string{"No runner is there or on its way for it: no pool is configured."}},
		{name: "a shutdown", view: View{Spec: Spec{Shutdown: true, Pools: []Pool{linux(func(p *Pool) { p.Max = 0 })}}}, query: Query{}, state: StateHypothetical,
			want: []string{"No runner is there or on its way for it: pool linux is at its max of 0.", "It can get a runner once the configuration is another.",
				"The daemon is draining to shut down and starts no more runners."}},
		{name: "by its page, under another host", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Jobs: []Job{job(1), onPage}}},
			query: Query{URL: "http://localhost:3000/a/app/actions/runs/3/jobs/0?x=1#step"}, state: StateQueued, pool: "linux",
			want: []string{"Pool linux starts a runner for it now, since none of its runners is free."}},
		{name: "it runs here", view: View{Running: []Job{{ID: 5, RunnerName: "linux-a"}}, Runners: []RunnerStatus{{Name: "linux-a", Pool: "linux"}}},
			query: Query{Job: 5}, state: StateRunning, pool: "linux", want: []string{"It is running: runner linux-a of pool linux has it."}},
		{name: "it runs elsewhere", view: View{Running: []Job{{ID: 5, RunnerName: "mine"}}, Runners: []RunnerStatus{{Name: "linux-a", Pool: "linux"}}},
			query: Query{Job: 5}, state: StateRunning, want: []string{"It is running: runner mine has it, which is not one of this scaler's."}},
		{name: "it was here", view: View{Runners: []RunnerStatus{{Name: "linux-a", Pool: "linux", Phase: PhaseFinishing, Job: 5}}},
			query: Query{Job: 5}, state: StateEnded, pool: "linux", want: []string{"It is neither queued nor running: runner linux-a of pool linux has had it, and is finishing."}},
		{name: "it may be here", view: View{Spec: Spec{Pools: []Pool{linux()}}, Snap: Snapshot{Unknown: map[Scope]string{instance: "gitea is down"}},
			Runners: []RunnerStatus{{Name: "linux-a", Pool: "linux", Phase: PhaseBusy, Job: 5}}}, query: Query{Job: 5}, state: StateUnknown, pool: "linux",
			want: []string{"It is not known whether it runs: runner linux-a of pool linux has had it, and is busy; the jobs of its scope could not be read: gitea is down."}},
		{name: "nobody knows it", view: View{QueueSize: 4, Snap: Snapshot{Jobs: []Job{job(1)}, Unknown: map[Scope]string{orgA: "gitea is down"}}}, query: Query{Job: 5}, state: StateUnknown,
			want: []string{"No queued or running job with this id was read.", "The jobs of org:a could not be read: gitea is down.",
				"4 jobs are queued, of which 1 were read, as many as the pools could serve: it may be one of the others.",
				"Gitea queues a job once nothing blocks it: other jobs that it needs, a concurrency group, or an approval.",
				"It may also be over, or belong to a repository that no pool's scope covers. See its page in Gitea."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.view.Snap.Now = now
			e, err := tt.view.Explain(tt.query)
			if err != nil || e.State != tt.state || e.Job.Pool != tt.pool || !e.At.Equal(now) {
				t.Errorf("%+v, %v", e, err)
			}
			if !slices.Equal(e.Summary, tt.want) {
				t.Errorf("got %q\nwant %q", e.Summary, tt.want)
			}
		})
	}
}

func TestExplainRefuses(t *testing.T) {
	v := View{Snap: Snapshot{Now: now, Jobs: []Job{{ID: 1}, {ID: 2, URL: "https://git.example.com/a/b/actions/runs/1/jobs/0"}}}}
	for _, tt := range []struct {
		query Query
		want  error
	}{
		{Query{Job: -1}, ErrInvalid},
		{Query{URL: "nonsense"}, ErrInvalid},
		{Query{URL: "http://[::1"}, ErrInvalid},
		{Query{URL: "https://git.example.com/a/b/actions/runs/1/jobs/1"}, ErrNotFound},
		{Query{URL: "https://git.example.com"}, ErrInvalid},
	} {
		if _, err := v.Explain(tt.query); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.query, err, tt.want)
		}
	}
}
