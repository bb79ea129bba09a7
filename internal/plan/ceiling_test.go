package plan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// bounded is a brute force for the most jobs that can be served under ceilings.
type bounded struct {
	jobs       []Decision
	pools      []*pool
	choices    [][]int
	free, room []int
	global     int
	has        map[string]int
}

func (b *bounded) keys(i, j int) (repo, owner string) {
	name := strings.ToLower(b.jobs[j].Job.Repo)
	owner, _, _ = strings.Cut(name, "/")
	return fmt.Sprint(i, " ", name), fmt.Sprint(i, " ", owner)
}

func (b *bounded) may(i, j int) bool {
	p := b.pools[i]
	repo, owner := b.keys(i, j)
	return (p.MaxPerRepo == 0 || b.has[repo] < p.MaxPerRepo) && (p.MaxPerOwner == 0 || b.has[owner] < p.MaxPerOwner)
}

func (b *bounded) count(i, j, n int) {
	repo, owner := b.keys(i, j)
	b.has[repo] += n
	b.has[owner] += n
}

func (b *bounded) best(j int) int {
	if j == len(b.jobs) {
		return 0
	}
	best := b.best(j + 1)
	for _, i := range b.choices[j] {
		if !b.may(i, j) {
			continue
		}
		from, cost := &b.free[i], 0
		if *from == 0 {
			from, cost = &b.room[i], 1
		}
		if *from == 0 || b.global < cost {
			continue
		}
		*from--
		b.global -= cost
		b.count(i, j, 1)
		best = max(best, 1+b.best(j+1))
		b.count(i, j, -1)
		b.global += cost
		*from++
	}
	return best
}

// Under ceilings, too, no other assignment serves more jobs, and no ceiling is
// passed by what is served.
func TestCeilingProperties(t *testing.T) {
	repos := []string{"a/app", "A/App", "a/tool", "b/lib"}
	reached := 0
	for seed := range uint64(8_000) {
		r := rand.New(rand.NewPCG(seed, 8))
		spec, snap := world(r)
		for i := range spec.Pools {
			p := &spec.Pools[i]
			p.Scope, p.MaxPerRepo, p.MaxPerOwner, p.Priority = instance, r.IntN(3), r.IntN(4), r.IntN(2)
		}
		for i := range snap.Jobs {
			snap.Jobs[i].Repo = repos[r.IntN(len(repos))]
		}
		for i := range snap.Runners {
			if snap.Runners[i].HasJob {
				snap.Runners[i].Repo = repos[r.IntN(len(repos))]
			}
		}
		p := Compute(spec, snap)
		c := newComputation(spec, snap)
		if snap.Hold == "" {
			c.leave()
		}
		b := &bounded{jobs: c.jobs, pools: c.pools, choices: newMatching(c.jobs, c.pools).choices, global: len(c.jobs), has: map[string]int{}}
		if c.budget.limited[ofRunners] {
			b.global = int(max(c.budget.most[ofRunners]-c.budget.taken[ofRunners], 0))
		}
		index := map[string]int{}
		for i, q := range c.pools {
			b.free, b.room = append(b.free, q.supply), append(b.room, q.room())
			index[q.Name] = i
		}
		for i := range snap.Runners {
			x := &snap.Runners[i]
			if i, known := index[x.Pool]; known && x.HasJob {
				b.jobs = append(b.jobs, Decision{Job: &Job{Repo: x.Repo}})
				b.count(i, len(b.jobs)-1, 1)
				b.jobs = b.jobs[:len(b.jobs)-1]
			}
		}
		served, best := 0, b.best(0)
		for j, d := range p.Decisions {
			if strings.Contains(d.Reason, "max_per_") {
				reached++
			}
			if !d.Served() {
				continue
			}
			served++
			if i := index[d.Pool]; !b.may(i, j) {
				t.Fatalf("seed %d: job %d of %s goes to pool %s beyond a ceiling", seed, d.Job.ID, d.Job.Repo, d.Pool)
			} else {
				b.count(i, j, 1)
			}
		}
		if served != best {
			t.Fatalf("seed %d: serves %d jobs of %d, could serve %d", seed, served, len(p.Decisions), best)
		}
	}
	if reached < 1_000 {
		t.Errorf("only %d jobs met a ceiling", reached)
	}
}

func TestCeilings(t *testing.T) {
	from := func(repo string, id int64, labels ...string) Job {
		j := job(id, labels...)
		j.Repo = repo
		return j
	}
	has := func(name, pool, repo string) Runner {
		return runner(name, PhaseBusy, time.Minute, withJob, func(r *Runner) { r.Pool, r.Repo = pool, repo })
	}
	perRepo := func(n int) func(*Pool) { return func(p *Pool) { p.MaxPerRepo = n } }
	perOwner := func(n int) func(*Pool) { return func(p *Pool) { p.MaxPerOwner = n } }
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want string // what becomes of each job
	}{
		{
			name: "a matrix leaves room for others",
			spec: Spec{Pools: []Pool{linux(perRepo(2), func(p *Pool) { p.Max = 3 })}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1), from("a/app", 2), from("a/app", 3), from("b/lib", 4)}},
			want: "linux, linux, a/app has 2 of its 2 runners in pool linux (max_per_repo), linux",
		},
		{
			name: "busy runners count, by the name in whatever case, those of other pools do not",
			spec: Spec{Pools: []Pool{linux(perRepo(2)), linux(named("b"))}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1, "linux"), from("a/app", 2, "linux")}, Runners: []Runner{has("r1", "linux", "A/App"), has("r2", "b", "a/app")}},
			want: "linux, A/App has 2 of its 2 runners in pool linux (max_per_repo)",
		},
		{
			name: "repositories of an owner together",
			spec: Spec{Pools: []Pool{linux(perOwner(2))}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1), from("a/tool", 2), from("a/lib", 3), from("b/lib", 4)}},
			want: "linux, linux, a has 2 of its 2 runners in pool linux (max_per_owner), linux",
		},
		{
			name: "a job over one pool's ceiling goes to another pool",
			spec: Spec{Pools: []Pool{linux(perRepo(1), func(p *Pool) { p.Priority = 1 }), linux(func(p *Pool) { p.Name = "other" })}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1), from("a/app", 2), from("b/lib", 3)}},
			want: "linux, other, linux",
		},
		{
			name: "an older job moves on for one of its repository that fits nowhere else",
			spec: Spec{Pools: []Pool{linux(perRepo(1), func(p *Pool) { p.Priority = 1 }), linux(named("b", "linux"))}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1, "linux"), from("a/app", 2, "x64", "linux")}},
			want: "b, linux",
		},
		{
			name: "a hold comes first",
			spec: Spec{Pools: []Pool{linux(perRepo(1), func(p *Pool) { p.Hold = "token disabled" })}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1)}, Runners: []Runner{has("r1", "linux", "a/app")}},
			want: "pool linux is on hold: token disabled",
		},
		{
			name: "a free runner is not promised beyond a ceiling",
			spec: Spec{Pools: []Pool{linux(perRepo(1))}},
			snap: Snapshot{Jobs: []Job{from("a/app", 1)}, Runners: []Runner{has("r1", "linux", "a/app"), runner("r2", PhaseIdle, time.Second)}},
			want: "a/app has 1 of its 1 runners in pool linux (max_per_repo)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			var got []string
			for _, d := range Compute(tt.spec, tt.snap).Decisions {
				if d.Served() {
					got = append(got, d.Pool)
				} else {
					got = append(got, d.Reason)
				}
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Jobs beyond a ceiling do not count where a queue is read until as many are
// found as may be served.
func TestDemand(t *testing.T) {
	jobs := func(repo string, n int, labels ...string) (list []Job) {
		for range n {
			list = append(list, Job{Repo: repo, Labels: labels})
		}
		return list
	}
	tests := []struct {
		name  string
		pools []Pool
		jobs  []Job
		want  int
	}{
		{"no ceiling", []Pool{linux()}, jobs("a/app", 9), 9},
		{"a repository", []Pool{linux(func(p *Pool) { p.MaxPerRepo = 2 })}, append(jobs("a/app", 9), jobs("b/app", 1)...), 3},
		{"an owner", []Pool{linux(func(p *Pool) { p.MaxPerOwner = 4 })}, append(jobs("a/app", 3), jobs("a/lib", 9)...), 4},
		{"a pool without one", []Pool{linux(func(p *Pool) { p.MaxPerRepo = 2 }), linux(named("b", "linux"))}, jobs("a/app", 9, "linux"), 9},
		{"no pool", []Pool{linux(func(p *Pool) { p.MaxPerRepo = 2 })}, jobs("a/app", 9, "vax"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			counts, got := Demand(tt.pools), 0
			for _, j := range tt.jobs {
				if counts(j) {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("%d jobs count, want %d", got, tt.want)
			}
		})
	}
}
