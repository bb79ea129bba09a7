package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	instance = Scope{Kind: ScopeInstance}
	orgA     = Scope{Kind: ScopeOrg, Owner: "a"}
)

func linux(mutate ...func(*Pool)) Pool {
	p := Pool{Name: "linux", Scope: instance, Labels: []string{"linux", "x64"}, Max: 10,
		IdleTimeout: 5 * time.Minute, BootTimeout: 2 * time.Minute, ShutdownTimeout: time.Hour}
	for _, m := range mutate {
		m(&p)
	}
	return p
}

func job(id int64, labels ...string) Job {
	return Job{ID: id, Repo: "a/app", Labels: labels, Status: JobQueued, QueuedAt: now.Add(time.Duration(id) * time.Second)}
}

func runner(name string, phase Phase, age time.Duration, mutate ...func(*Runner)) Runner {
	r := Runner{Name: name, Pool: "linux", Scope: instance, Phase: phase, Ephemeral: true,
		CreatedAt: now.Add(-age), StartedAt: now.Add(-age), Since: now.Add(-age)}
	for _, m := range mutate {
		m(&r)
	}
	return r
}

func withJob(r *Runner) { r.HasJob = true }
func used(r *Runner)    { r.Used = true }
func deleted(r *Runner) { r.Gone = true }
func lasting(r *Runner) { r.Ephemeral, r.Registered = false, true }

func seen(j Job, ago time.Duration) Job {
	j.SeenAt = now.Add(-ago)
	return j
}

// lines renders a plan's actions for comparison.
func lines(p Plan) []string {
	var out []string
	for _, a := range p.Actions {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Kind, a.Pool, a.Runner))+": "+a.Reason)
	}
	return out
}

func TestComputeActions(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want []string
	}{
		{
			name: "nothing waits and nothing is wanted",
			spec: Spec{Pools: []Pool{linux()}},
		},
		{
			name: "each waiting job gets a runner",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(2, "linux"), job(1, "x64", "linux"), job(2, "linux")}},
			want: []string{
				"start linux: job 1 of a/app waits and no runner of the pool is free",
				"start linux: job 2 of a/app waits and no runner of the pool is free",
			},
		},
		{
			name: "starting and idle runners are supply, busy and leaving ones are not",
			spec: Spec{DrainSettle: time.Minute, Pools: []Pool{linux()}},
			snap: Snapshot{
				Jobs: []Job{job(1, "linux"), job(2, "linux"), job(3, "linux")},
				Runners: []Runner{
					runner("a", PhaseStarting, time.Second), runner("b", PhaseIdle, time.Second),
					runner("c", PhaseBusy, time.Second, withJob), runner("d", PhaseFinishing, time.Second, used),
					runner("e", PhaseDraining, time.Second), runner("f", PhaseStopping, time.Second),
				},
			},
			want: []string{"start linux: job 3 of a/app waits and no runner of the pool is free"},
		},
		{
			name: "an idle runner that the list shows with a job is busy",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseIdle, time.Hour, withJob)}},
			want: []string{"start linux: job 1 of a/app waits and no runner of the pool is free"},
		},
		{
			name: "labels are exact and case-sensitive, an empty runs-on matches any",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1, "Linux"), job(2, "linux", "gpu"), job(3)}},
			want: []string{"start linux: job 3 of a/app waits and no runner of the pool is free"},
		},
		{
			name: "a scope does not reach beyond its owner",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Scope = Scope{Kind: ScopeOrg, Owner: "b"} })}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}},
		},
		{
			name: "max counts every runner, failed ones too",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 2 })}},
			snap: Snapshot{Jobs: []Job{job(1), job(2)}, Runners: []Runner{runner("a", PhaseExited, time.Second)}},
			want: []string{
				"remove linux a: its container has ended",
				"start linux: job 1 of a/app waits and no runner of the pool is free",
			},
		},
		{
			name: "the limit over all pools holds",
			spec: Spec{MaxRunners: 1, Pools: []Pool{linux(), linux(func(p *Pool) { p.Name = "other" })}},
			snap: Snapshot{Jobs: []Job{job(1), job(2)}},
			want: []string{"start linux: job 1 of a/app waits and no runner of the pool is free"},
		},
		{
			name: "min and idle are kept",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Min, p.Idle = 2, 1 })}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseBusy, time.Second, withJob)}},
			want: []string{"start linux: the pool keeps min 2 and has 1"},
		},
		{
			name: "idle is kept beyond the waiting jobs",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Idle = 1 })}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseIdle, time.Second)}},
			want: []string{"start linux: the pool keeps 1 idle and has 0"},
		},
		{
			name: "a flexible job makes room for one that has no other pool",
			spec: Spec{Pools: []Pool{
				linux(func(p *Pool) { p.Max = 1 }),
				linux(func(p *Pool) { p.Name, p.Labels, p.Max = "plain", []string{"linux"}, 1 }),
			}},
			snap: Snapshot{Jobs: []Job{job(1, "linux"), job(2, "x64")}},
			want: []string{
				"start plain: job 1 of a/app waits and no runner of the pool is free",
				"start linux: job 2 of a/app waits and no runner of the pool is free",
			},
		},
		{
			name: "surplus idle runners go after idle_timeout, oldest first",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Idle = 1 })}},
			snap: Snapshot{Runners: []Runner{
				runner("young", PhaseIdle, time.Minute), runner("old", PhaseIdle, time.Hour), runner("older", PhaseIdle, 2*time.Hour),
			}},
			want: []string{
				"drain linux older: idle for 2h0m0s, and the pool keeps 1 idle and min 0",
				"drain linux old: idle for 1h0m0s, and the pool keeps 1 idle and min 0",
			},
		},
		{
			name: "min keeps idle runners from going",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Min = 2 })}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseIdle, time.Hour), runner("b", PhaseIdle, time.Hour)}},
		},
		{
			name: "an idle runner that a waiting job is about to take stays",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseIdle, time.Hour)}},
		},
		{
			name: "a drained runner is stopped once settled, and not if it got a job",
			spec: Spec{CanNudge: true, DrainSettle: 10 * time.Second, Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{
				runner("fresh", PhaseDraining, 9*time.Second), runner("settled", PhaseDraining, 10*time.Second),
				runner("caught", PhaseDraining, time.Hour, withJob),
			}},
			want: []string{"stop linux settled: disabled, and no job has come to it since"},
		},
		{
			name: "a stopping runner keeps the time that it was promised",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{
				runner("patient", PhaseStopping, time.Hour), runner("deaf", PhaseStopping, time.Hour+exitGrace),
				runner("working", PhaseStopping, 9*time.Hour, withJob), runner("done", PhaseStopping, exitGrace, used),
			}},
			want: []string{
				"kill linux deaf: told to stop, has had no job for 1h1m0s and still runs",
				"kill linux done: told to stop, has had no job for 1m0s and still runs",
			},
		},
		{
			name: "a runner that was just seen with a job is not ended because one list misses it",
			spec: Spec{CanNudge: true, DrainSettle: 10 * time.Second, Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{
				runner("draining", PhaseDraining, time.Hour, used, func(r *Runner) { r.JobSeen = now.Add(-9 * time.Second) }),
				runner("stopping", PhaseStopping, time.Hour, used, func(r *Runner) { r.JobSeen = now.Add(-59 * time.Second) }),
				runner("finishing", PhaseFinishing, time.Hour, used, func(r *Runner) { r.JobSeen = now.Add(-59 * time.Second) }),
			}},
		},
		{
			name: "a persistent runner whose container has ended gets another one",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 3 })}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{
				runner("again", PhaseExited, time.Second, lasting, func(r *Runner) { r.Note = "its container is gone" }),
				runner("told", PhaseExited, time.Second, lasting, func(r *Runner) { r.Told = true }),
				runner("gone", PhaseExited, time.Second, lasting, func(r *Runner) { r.Gone = true }),
			}},
			want: []string{
				"remove linux told: its container has ended", "remove linux gone: its container has ended",
				"restart linux again: its container is gone",
			},
		},
		{
			name: "a persistent runner whose container has ended waits while its pool is on hold",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Hold = "failure 3 in a row" })}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseExited, time.Second, lasting)}},
		},
		{
			name: "a persistent runner above the pool's max is removed rather than restarted",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 1 })}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseExited, time.Second, lasting), runner("b", PhaseBusy, time.Second, lasting, withJob)}},
			want: []string{"remove linux a: its container has ended"},
		},
		{
			name: "a runner that the server has deleted is no supply and ends once it has no job",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{
				runner("idle", PhaseIdle, time.Hour, deleted), runner("working", PhaseBusy, time.Hour, deleted, withJob),
				runner("clearing up", PhaseFinishing, time.Hour, deleted, used, func(r *Runner) { r.JobSeen = now.Add(-exitGrace + 1) }),
				runner("cancelled", PhaseFinishing, time.Hour, deleted, used, func(r *Runner) { r.JobSeen = now.Add(-exitGrace) }),
			}},
			want: []string{
				"kill linux idle: the server has deleted it, it has no job and still runs",
				"kill linux cancelled: the server has deleted it, it has no job and still runs",
				"start linux: job 1 of a/app waits and no runner of the pool is free",
			},
		},
		{
			name: "an idle runner that leaves a job waiting is nudged",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{seen(job(1), nudgeAfter)}, Runners: []Runner{runner("a", PhaseIdle, nudgeAfter)}},
			want: []string{"nudge linux a: a job for it has waited for 8s or more"},
		},
		{
			name: "a runner is not nudged before its time, nor again too soon",
			spec: Spec{CanNudge: true, Pools: []Pool{
				linux(), linux(func(p *Pool) { p.Name, p.Labels, p.NudgedAt = "b", []string{"b"}, now.Add(-nudgeAgain+1) }),
			}},
			snap: Snapshot{Jobs: []Job{seen(job(1, "linux"), nudgeAfter-1), seen(job(2, "b"), time.Hour)}, Runners: []Runner{
				runner("a", PhaseIdle, time.Minute), runner("b", PhaseIdle, time.Minute, func(r *Runner) { r.Pool = "b" }),
			}},
		},
		{
			name: "where the server cannot wake a runner, one that leaves a job waiting is replaced",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{seen(job(1), time.Minute)}, Runners: []Runner{runner("a", PhaseIdle, time.Minute)}},
			want: []string{"drain linux a: a job for it has waited for 8s or more, and the server has no way to wake it"},
		},
		{
			name: "an ephemeral runner that does not exit after its job is stopped",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseFinishing, exitGrace, used), runner("b", PhaseFinishing, exitGrace-1, used)}},
			want: []string{"stop linux a: its job ended 1m0s ago and it has not exited"},
		},
		{
			name: "a runner that never came online gives way to another",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseStarting, 2*time.Minute)}},
			want: []string{
				"drain linux a: not online 2m0s after its start (boot_timeout 2m0s)",
				"start linux: job 1 of a/app waits and no runner of the pool is free",
			},
		},
		{
			name: "a runner whose image is still being pulled is waited for",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseStarting, time.Hour, func(r *Runner) { r.StartedAt = time.Time{} })}},
		},
		{
			name: "idle runners above a lowered max go at once",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Max = 1 })}},
			snap: Snapshot{Runners: []Runner{
				runner("b", PhaseIdle, time.Second), runner("a", PhaseIdle, 2*time.Second), runner("c", PhaseBusy, time.Hour, withJob),
			}},
			want: []string{
				"drain linux a: the pool's max is 1 and it has 3",
				"drain linux b: the pool's max is 1 and it has 2",
			},
		},
		{
			name: "runners of a pool that is gone leave when they are free",
			spec: Spec{CanNudge: true},
			snap: Snapshot{Runners: []Runner{
				runner("a", PhaseIdle, time.Second), runner("b", PhaseBusy, time.Second, withJob), runner("c", PhaseStarting, time.Second),
			}},
			want: []string{
				"drain linux a: its pool is no longer configured",
				"drain linux c: its pool is no longer configured",
			},
		},
		{
			name: "busy runners that take job after job get no other above a lowered max",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Max = 1 })}},
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{
				runner("a", PhaseBusy, time.Hour, withJob, lasting), runner("b", PhaseBusy, time.Hour, withJob),
				runner("c", PhaseDraining, time.Hour, withJob, lasting), runner("d", PhaseBusy, time.Hour, withJob, lasting),
			}},
			want: []string{
				"drain linux a: the pool's max is 1 and it has 3: it finishes its job first",
				"drain linux d: the pool's max is 1 and it has 2: it finishes its job first",
			},
		},
		{
			name: "busy runners of a pool that is gone get no other job",
			spec: Spec{CanNudge: true},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseBusy, time.Hour, withJob, lasting), runner("b", PhaseBusy, time.Hour, withJob)}},
			want: []string{"drain linux a: its pool is no longer configured: it finishes its job first"},
		},
		{
			name: "what cannot be read stops nothing and starts nothing",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Min = 9 })}},
			snap: Snapshot{
				Unknown: map[Scope]string{instance: "gitea is down"},
				Jobs:    []Job{job(1)},
				Runners: []Runner{
					runner("a", PhaseIdle, time.Hour), runner("b", PhaseDraining, time.Hour), runner("c", PhaseStopping, 9*time.Hour),
					runner("d", PhaseFinishing, time.Hour, used), runner("e", PhaseStarting, time.Hour),
				},
			},
		},
		{
			name: "a container that has ended is removed even while the queue is unknown",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{
				Unknown: map[Scope]string{instance: "gitea is down"},
				Runners: []Runner{runner("a", PhaseExited, time.Second, func(r *Runner) { r.Note = "exited with code 0" })},
			},
			want: []string{"remove linux a: exited with code 0"},
		},
		{
			name: "an engine that cannot be reached holds everything",
			spec: Spec{CanNudge: true, Pools: []Pool{linux()}},
			snap: Snapshot{Hold: "docker is down", Jobs: []Job{job(1)},
				Runners: []Runner{runner("a", PhaseExited, time.Hour), runner("b", PhaseIdle, time.Hour)}},
		},
		{
			name: "a pool on hold starts nothing and still lets go",
			spec: Spec{CanNudge: true, Pools: []Pool{linux(func(p *Pool) { p.Hold = "token rejected" })}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{runner("a", PhaseDraining, time.Hour)}},
			want: []string{"stop linux a: disabled, and no job has come to it since"},
		},
		{
			name: "a probing pool starts one at a time",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Probe = true })}},
			snap: Snapshot{Jobs: []Job{job(1), job(2)}},
			want: []string{"start linux: job 1 of a/app waits and no runner of the pool is free"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			got := lines(Compute(tt.spec, tt.snap))
			if !slices.Equal(got, tt.want) {
				t.Errorf("actions:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestComputeExplainsEachJob(t *testing.T) {
	org := func(p *Pool) { p.Name, p.Scope, p.Labels = "org", orgA, []string{"linux", "gpu"} }
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want string
	}{
		{"no pools", Spec{}, Snapshot{Jobs: []Job{job(1)}}, "no pool is configured"},
		{"labels", Spec{Pools: []Pool{linux(), linux(org)}}, Snapshot{Jobs: []Job{job(1, "linux", "arm", "x64")}},
			"no pool has all of runs-on [linux, arm, x64]: pool linux lacks arm"},
		{"scope", Spec{Pools: []Pool{linux(org)}}, Snapshot{Jobs: []Job{{ID: 1, Repo: "b/app"}}}, "no pool's scope covers b/app"},
		{"scope and labels", Spec{Pools: []Pool{linux(func(p *Pool) { p.Labels = []string{"x64"} }), linux(org, func(p *Pool) { p.Scope.Owner = "z" })}},
			Snapshot{Jobs: []Job{job(1, "gpu")}}, "no pool has all of runs-on [gpu]: pool org has it, but its scope org:z does not cover a/app; pool linux lacks gpu"},
		{"max", Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 1 })}},
			Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseBusy, 0, withJob)}}, "pool linux is at its max of 1"},
		{"limit", Spec{MaxRunners: 1, Pools: []Pool{linux()}},
			Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{runner("a", PhaseBusy, 0, withJob)}}, "limits.runners of 1 is reached"},
		{"hold", Spec{Pools: []Pool{linux(func(p *Pool) { p.Hold = "its token was rejected" })}},
			Snapshot{Jobs: []Job{job(1)}}, "pool linux is on hold: its token was rejected"},
		{"unknown", Spec{Pools: []Pool{linux()}},
			Snapshot{Jobs: []Job{job(1)}, Unknown: map[Scope]string{instance: "half a page"}}, "pool linux is on hold: half a page"},
		{"probe", Spec{Pools: []Pool{linux(func(p *Pool) { p.Probe = true })}},
			Snapshot{Jobs: []Job{job(2)}, Runners: []Runner{runner("a", PhaseStarting, 0), runner("b", PhaseBusy, 0, withJob)}}, "a runner is free or starting"},
		{"started", Spec{Pools: []Pool{linux()}}, Snapshot{Jobs: []Job{job(1)}}, "a runner is being started for it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			d := Compute(tt.spec, tt.snap).Decisions
			if len(d) != 1 || d[0].Reason != tt.want {
				t.Errorf("decisions = %+v, want one with reason %q", d, tt.want)
			}
		})
	}
}
