package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// house is a simulation of several daemons that serve one queue, each with the
// real planner and a view of its own, in virtual time. A runner takes the oldest
// job when it comes online, whoever started it and for whatever job.
type house struct {
	t        *testing.T
	rand     *rand.Rand
	now      time.Time
	handover time.Duration
	byRoom   bool             // the daemons know each other's instances
	boot     [2]time.Duration // at least and less than
	daemons  []*member
	queue    []Job
	running  []Job // as the server lists them
	came     map[int64]time.Time
	work     map[int64]time.Duration // how long each job takes
	waits    []time.Duration         // of the jobs that a runner has got
	starts   int
	unused   int // runners that went without a job
	nextID   int64
}

// member is one daemon of the house with its runners.
type member struct {
	name    string
	id      string // its instance
	dead    bool
	next    time.Time // its next poll
	split   *Split
	recent  Recent
	seen    map[int64]time.Time
	pool    Pool
	runners []*worker
	made    int
}

// worker is one runner: it boots, looks for work, works, and is gone.
type worker struct {
	Runner
	online time.Time
	job    Job       // that it has
	until  time.Time // end of that
}

const (
	simPoll = time.Second
	simStep = 50 * time.Millisecond
)

func newHouse(t *testing.T, seed uint64, daemons, max int, handover time.Duration, byRoom bool) *house {
	f := &house{t: t, rand: rand.New(rand.NewPCG(seed, 7)), now: now, handover: handover, byRoom: byRoom, came: map[int64]time.Time{}, work: map[int64]time.Duration{},
		boot: [2]time.Duration{300 * time.Millisecond, 1300 * time.Millisecond}}
	for i := range daemons {
		f.daemons = append(f.daemons, &member{name: fmt.Sprintf("build-%d", i+1), id: fmt.Sprintf("5ca1e%07d", i+1), seen: map[int64]time.Time{},
			pool: Pool{Name: "linux", Scope: instance, Labels: []string{"linux"}, Max: max, IdleTimeout: time.Minute, BootTimeout: time.Minute},
			next: f.now.Add(time.Duration(f.rand.Int64N(int64(simPoll))))})
	}
	f.configure(func(*member) bool { return true })
	return f
}

// configure tells all daemons which of them there are.
func (f *house) configure(in func(*member) bool) {
	var peers []Peer
	for _, d := range f.daemons {
		if !in(d) {
			continue
		}
		p := Peer{Name: d.name, Weight: d.pool.Max}
		if f.byRoom {
			p.Instance = d.id
		}
		peers = append(peers, p)
	}
	for _, d := range f.daemons {
		d.split = NewSplit(Sharing{Self: d.name, Peers: peers, Handover: f.handover})
	}
}

// add queues some jobs that take about so long.
func (f *house) add(n int, work time.Duration) {
	for range n {
		f.nextID++
		f.came[f.nextID] = f.now
		f.queue = append(f.queue, Job{ID: f.nextID, Repo: "a/app", Labels: []string{"linux"}, Status: JobQueued, QueuedAt: f.now})
		f.work[f.nextID] = work/2 + time.Duration(f.rand.Int64N(int64(work)))
	}
}

// spread queues some jobs one after another within a time.
func (f *house) spread(n int, within, work time.Duration) {
	steps := int(within / simStep)
	f.run(within, func(step int) { f.add(n*(step+1)/steps-n*step/steps, work) })
}

// occupy gives all runners that a daemon may have a job that never ends, of a kind
// that the others have no runners for.
func (f *house) occupy(m *member) {
	for range m.pool.Max {
		f.nextID++
		w := f.newWorker(m)
		w.take(Job{ID: f.nextID, Repo: "a/own", Labels: []string{"own"}, QueuedAt: f.now}, f.now.Add(1000*time.Hour))
		m.runners = append(m.runners, w)
	}
}

// newWorker makes a runner of a daemon.
func (f *house) newWorker(m *member) *worker {
	m.made++
	return &worker{Runner: Runner{Name: fmt.Sprintf("%s%s-linux-%d", RunnerPrefix, m.id, m.made), Pool: "linux", Scope: instance, Phase: PhaseStarting,
		Ephemeral: true, Registered: true, CreatedAt: f.now, StartedAt: f.now, Since: f.now}}
}

// take gives the runner a job.
func (w *worker) take(j Job, until time.Time) {
	w.HasJob, w.Phase, w.until, w.job = true, PhaseBusy, until, j
	w.job.Status, w.job.RunnerName = JobInProgress, w.Name
}

// run lets so much time pass, in steps, with arrivals as given.
func (f *house) run(d time.Duration, arrive func(step int)) {
	for i := range int(d / simStep) {
		f.now = f.now.Add(simStep)
		if arrive != nil {
			arrive(i)
		}
		f.move()
		f.list()
		for _, m := range f.daemons {
			if !m.dead && !f.now.Before(m.next) {
				f.cycle(m)
				m.next = f.now.Add(simPoll - time.Duration(f.rand.Int64N(int64(simPoll/5))))
			}
		}
	}
}

// move has the runners boot, take jobs and end.
func (f *house) move() {
	var free []*worker
	for _, m := range f.daemons {
		m.runners = slices.DeleteFunc(m.runners, func(w *worker) bool { return w.HasJob && !f.now.Before(w.until) })
		for _, w := range m.runners {
			if !w.HasJob && !f.now.Before(w.online) {
				w.Phase = PhaseIdle
				free = append(free, w)
			}
		}
	}
	slices.SortStableFunc(free, func(a, b *worker) int { return a.online.Compare(b.online) })
	for _, w := range free {
		if len(f.queue) == 0 {
			return
		}
		j := f.queue[0]
		f.queue = f.queue[1:]
		w.take(j, f.now.Add(f.work[j.ID]))
		f.waits = append(f.waits, f.now.Sub(f.came[j.ID]))
	}
}

// list notes which jobs run.
func (f *house) list() {
	f.running = f.running[:0]
	for _, m := range f.daemons {
		for _, w := range m.runners {
			if w.HasJob {
				f.running = append(f.running, w.job)
			}
		}
	}
}

// cycle is one of a daemon's: it looks, plans, and carries out what the plan
// says of starts and of idle runners.
func (f *house) cycle(m *member) {
	snap := Snapshot{Now: f.now, Jobs: slices.Clone(f.queue)}
	seen := make(map[int64]time.Time, len(snap.Jobs))
	for i := range snap.Jobs {
		j := &snap.Jobs[i]
		at, known := m.seen[j.ID]
		if !known {
			at = f.now
		}
		seen[j.ID], j.SeenAt = at, at
	}
	m.seen = seen
	for _, w := range m.runners {
		snap.Runners = append(snap.Runners, w.Runner)
	}
	snap.Shares = m.split.Look(Sight{Now: f.now, Jobs: snap.Jobs, Runners: snap.Runners, Running: f.running, Counted: true})
	snap.Balances = m.split.Balances()
	p := m.pool
	p.Recent = m.recent
	out := Compute(Spec{Pools: []Pool{p}, CanNudge: true}, snap)
	m.split.Note(out.Decisions)
	if out.Pools[0].Full {
		m.recent.FullAt = f.now
	}
	m.recent.NoteSurplus(f.now, out.Pools[0].Surplus)
	for _, a := range out.Actions {
		switch a.Kind {
		case ActionStart:
			f.starts++
			w := f.newWorker(m)
			w.online = f.now.Add(f.boot[0] + time.Duration(f.rand.Int64N(int64(f.boot[1]-f.boot[0]))))
			m.runners = append(m.runners, w)
		case ActionDrain:
			f.unused++
			m.runners = slices.DeleteFunc(m.runners, func(w *worker) bool { return w.Name == a.Runner })
		}
	}
}

// die kills a daemon and, if its host dies with it, its runners. Jobs that they
// had are lost to the server too, so they do not come back.
func (f *house) die(m *member, host bool) {
	m.dead = true
	if host {
		m.runners = nil
	}
}

// comeBack starts a daemon again, which remembers nothing of the queue.
func (f *house) comeBack(m *member) {
	m.dead, m.next, m.seen = false, f.now, map[int64]time.Time{}
	m.split = NewSplit(m.split.Sharing())
}

// over is how many runners were started beyond the jobs, as a share of those.
func (f *house) over() float64 {
	served := len(f.waits)
	return float64(f.starts-served) / float64(served)
}

// report checks that all jobs are served, and the two bounds.
func (f *house) report(over float64, wait time.Duration) {
	f.t.Helper()
	slices.Sort(f.waits)
	n := len(f.waits)
	if n == 0 {
		f.t.Fatalf("no job was served")
	}
	f.t.Logf("%d jobs, %d starts (%.1f %% over), waits: median %v, p99 %v, max %v", n, f.starts, 100*f.over(), f.waits[n/2], f.waits[n*99/100], f.waits[n-1])
	if len(f.queue) > 0 {
		f.t.Errorf("%d jobs were not served", len(f.queue))
	}
	if f.over() > over {
		f.t.Errorf("%.1f %% of the starts were not needed, at most %.1f %% may be", 100*f.over(), 100*over)
	}
	if most := f.waits[n-1]; most > wait {
		f.t.Errorf("a job waited for %v, at most %v may pass", most, wait)
	}
}
