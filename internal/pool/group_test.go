package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// pair is a daemon for two servers in virtual time, each with an engine that sees
// its own containers only. The pools are called as the servers.
type pair struct {
	acme, lab *rig
	group     *Group
	ledger    *Ledger
	stop      func()
}

// newPair makes a pair whose runners are bound by limits together.
func newPair(t *testing.T, limits plan.Limits, change ...func(*Config)) *pair {
	t.Helper()
	p := &pair{ledger: NewLedger(limits)}
	for name, r := range map[string]**rig{"acme": &p.acme, "lab": &p.lab} {
		*r = newRig(t, giteatest.Options{}, append([]func(*Config){func(c *Config) {
			c.Server = name
			c.Pools[name], c.Spec.Pools[0].Name = c.Pools["linux"], name
			delete(c.Pools, "linux")
		}}, change...)...)
	}
	return p
}

// run starts the daemon. Several runs in turn are restarts on the same state.
func (p *pair) run() {
	ledger := func(ports *Ports) { ports.Ledger = p.ledger }
	p.acme.build(ledger)
	p.lab.build(ledger)
	p.group = NewGroup(p.ledger, p.acme.m, p.lab.m)
	stop := p.acme.start(p.group.Run)
	p.stop = func() {
		stop()
		p.lab.store.Close()
	}
}

func (p *pair) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestGroupServesSeveralServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		p.acme.queue(10, 20*time.Second)
		p.lab.queue(10, 20*time.Second)
		p.after(10 * time.Second)
		s := p.group.Status()
		for i, want := range []string{"acme", "lab"} {
			if q := s.Pools[i]; q.Name != want || q.Server != want || q.Busy != 10 {
				t.Errorf("pool %+v", q)
			}
			if q := s.Servers[i]; q.Name != want || !q.Working || q.Cycle == 0 || q.Instance == "" {
				t.Errorf("server %+v", q)
			}
		}
		if len(s.Servers) != 2 || s.Servers[0].Instance == s.Servers[1].Instance || len(s.Runners) != 20 || !s.Health(time.Now()).Ready || s.Health(time.Now()).Degraded {
			t.Errorf("servers %+v, %d runners, health %+v", s.Servers, len(s.Runners), s.Health(time.Now()))
		}
		for _, r := range s.Runners {
			if r.Server != r.Pool || !strings.HasPrefix(r.Name, "scaler-"+s.Servers[slices.IndexFunc(s.Servers, func(q plan.ServerStatus) bool { return q.Name == r.Server })].Instance) {
				t.Errorf("runner %s of pool %s is of server %q", r.Name, r.Pool, r.Server)
			}
		}
		p.after(time.Minute)
		p.stop()
		for _, r := range []*rig{p.acme, p.lab} {
			r.wantJobs("success", 10)
			r.wantNothingLeft()
		}
		for _, e := range append(p.acme.journal.of(plan.EventRunner), p.lab.journal.of(plan.EventRunner)...) {
			if e.Server != e.Pool {
				t.Errorf("event of server %q: %+v", e.Server, e)
			}
		}
	})
}

// TestOneServerDoesNotDelayAnother measures how the jobs of one server fare while
// the other one is not well, in virtual time.
func TestOneServerDoesNotDelayAnother(t *testing.T) {
	for name, fault := range map[string]giteatest.Fault{
		"it is well": {Kind: "nothing"}, "it hangs": {Latency: 10 * time.Minute}, "it fails": {Status: 500}, "it is gone": {Drop: true},
		"registrations hang": {Kind: "Register", Latency: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, plan.Limits{})
				must(t, p.acme.gitea.SetFault(fault))
				p.run()
				ready := time.Now()
				p.acme.queue(10, time.Second)
				p.after(5 * time.Second)
				p.lab.queue(10, 5*time.Second)
				queued := time.Now()
				for p.lab.gitea.State().Jobs["success"] < 10 {
					if p.after(100 * time.Millisecond); time.Since(queued) > time.Minute {
						t.Fatalf("jobs of the other server: %v", p.lab.gitea.State().Jobs)
					}
				}
				if took := time.Since(queued); took > 10*time.Second {
					t.Errorf("10 jobs of 5 s took %s", took)
				}
				if took := p.lab.m.Status().CycleAt.Sub(ready); took <= 0 {
					t.Errorf("the other loop has not turned: %s", took)
				}
				p.wantDegraded(t, fault.Kind == "")
				began := time.Now()
				p.stop()
				if took := time.Since(began); took > shutdownWait+time.Second {
					t.Errorf("the end took %s", took)
				}
				p.acme.killAll()
			})
		})
	}
}

// wantDegraded checks what the health says while one server cannot be asked.
func (p *pair) wantDegraded(t *testing.T, want bool) {
	t.Helper()
	h := p.group.Status().Health(time.Now())
	if !h.Alive || !h.Ready || h.Degraded != want || (h.Reasons() != "") != want {
		t.Errorf("health %+v", h)
	}
	if want && !strings.Contains(h.Reasons(), "1 of 2 servers") {
		t.Errorf("it says %q", h.Reasons())
	}
}

func TestServerThatComesBackIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		p.acme.queue(10, 20*time.Second)
		p.lab.queue(10, 20*time.Second)
		p.after(5 * time.Second)
		must(t, p.acme.gitea.SetFault(giteatest.Fault{Drop: true}))
		p.after(5 * time.Minute)
		p.lab.wantJobs("success", 10)
		p.wantDegraded(t, true)
		p.acme.gitea.ClearFaults()
		p.after(15 * time.Minute)
		p.wantDegraded(t, false)
		p.acme.wantJobs("success", 10)
		p.stop()
		p.acme.wantNothingLeft()
		p.lab.wantNothingLeft()
	})
}

func TestOrdersFindTheirServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		defer p.stop()
		p.after(2 * time.Second)
		ctx := t.Context()
		must(t, p.group.Pause(ctx, "alice", "lab", "new disks"))
		p.after(time.Second)
		if s := p.group.Status(); s.Pools[0].Paused != nil || s.Pools[1].Paused == nil {
			t.Errorf("pools %+v", s.Pools)
		}
		if _, err := p.group.StartOne(ctx, "alice", "lab"); !errors.Is(err, plan.ErrConflict) {
			t.Errorf("start in a paused pool: %v", err)
		}
		must(t, p.group.Resume(ctx, "alice", "lab"))
		name, err := p.group.StartOne(ctx, "alice", "lab")
		must(t, err)
		p.after(5 * time.Second)
		if _, err := p.group.DotRunner(name); err != nil {
			t.Error(err)
		}
		must(t, p.group.Drain(ctx, "alice", plan.DrainTarget{Runner: name}))
		must(t, p.group.Drain(ctx, "alice", plan.DrainTarget{All: true}))
		p.after(time.Minute)
		if s := p.group.Status(); s.Pools[0].Paused == nil || s.Pools[1].Paused == nil || len(s.Runners) > 0 {
			t.Errorf("drained: %+v, runners %+v", s.Pools, s.Runners)
		}
		for what, err := range map[string]error{
			"pause":  p.group.Pause(ctx, "alice", "linux", ""),
			"resume": p.group.Resume(ctx, "alice", "linux"),
			"drain":  p.group.Drain(ctx, "alice", plan.DrainTarget{Pool: "linux"}),
		} {
			if !errors.Is(err, plan.ErrNotFound) || !strings.Contains(err.Error(), "acme, lab") {
				t.Errorf("%s an unknown pool: %v", what, err)
			}
		}
		if err := p.group.Drain(ctx, "alice", plan.DrainTarget{Runner: "nobody"}); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("drain an unknown runner: %v", err)
		}
	})
}

// TestResumeOfAPoolThatIsGone resumes a pool that was paused and is not configured
// any more, whichever server it was of.
func TestResumeOfAPoolThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		defer p.stop()
		p.after(2 * time.Second)
		must(t, p.group.Pause(t.Context(), "alice", "lab", ""))
		gone := p.lab.config
		gone.Spec.Pools, gone.Pools = nil, nil
		must(t, p.group.Reconfigure(t.Context(), "lab", gone))
		p.after(2 * time.Second)
		if s := p.group.Status(); len(s.Pools) != 1 {
			t.Errorf("pools %+v", s.Pools)
		}
		must(t, p.group.Resume(t.Context(), "alice", "lab"))
		if err := p.group.Resume(t.Context(), "alice", "lab"); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("once more: %v", err)
		}
		must(t, p.group.Reconfigure(t.Context(), "lab", p.lab.config))
		if err := p.group.Reconfigure(t.Context(), "far", p.lab.config); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("of a server that there is not: %v", err)
		}
	})
}

// TestPoolMovesToAnotherServer has the runners of a pool finish where they are.
func TestPoolMovesToAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		p.acme.queue(2, time.Minute)
		p.after(10 * time.Second)
		without, with := p.acme.config, p.lab.config
		without.Spec.Pools, without.Pools = nil, nil
		moved := p.acme.config.Spec.Pools[0]
		with.Spec.Pools = append(slices.Clone(with.Spec.Pools), moved)
		with.Pools = map[string]Options{"lab": with.Pools["lab"], "acme": p.acme.config.Pools["acme"]}
		must(t, p.group.Reconfigure(t.Context(), "acme", without))
		must(t, p.group.Reconfigure(t.Context(), "lab", with))
		must(t, p.group.Pause(t.Context(), "alice", "acme", "")) // finds it where it is now
		p.after(2 * time.Minute)
		if s := p.group.Status(); len(s.Pools) != 2 || s.Pools[1].Server != "lab" || s.Pools[1].Paused == nil {
			t.Errorf("pools %+v", s.Pools)
		}
		p.acme.wantJobs("success", 2)
		p.stop()
		p.acme.wantNothingLeft()
		p.lab.wantNothingLeft()
	})
}

func TestExplainFindsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		defer p.stop()
		p.after(2 * time.Second)
		must(t, p.group.Drain(t.Context(), "alice", plan.DrainTarget{All: true}))
		ids, same := p.acme.queue(3, time.Second), p.lab.queue(1, time.Second)
		if ids[0] != same[0] {
			t.Fatalf("jobs %v and %v: the servers do not count alike", ids, same)
		}
		p.after(5 * time.Second)
		for _, tc := range []struct {
			q      plan.Query
			server string
			err    error
			says   string
		}{
			{q: plan.Query{Job: ids[2]}, server: "acme"},
			{q: plan.Query{Job: ids[0]}, err: plan.ErrInvalid, says: "servers acme and lab"},
			{q: plan.Query{Job: ids[0], Server: "lab"}, server: "lab"},
			{q: plan.Query{Job: ids[0], Server: "far"}, err: plan.ErrNotFound},
			{q: plan.Query{Job: ids[2] + 99}},
			{q: plan.Query{Job: -1}, err: plan.ErrInvalid},
			{q: plan.Query{Labels: []string{"linux"}}, err: plan.ErrInvalid, says: "--server"},
			{q: plan.Query{Labels: []string{"linux"}, Server: "acme"}, server: "acme"},
		} {
			e, err := p.group.Explain(tc.q)
			if !errors.Is(err, tc.err) || e.Job.Server != tc.server || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%+v: server %q, %v; want %q, %v", tc.q, e.Job.Server, err, tc.server, tc.err)
			}
		}
	})
}

func TestReapLooksAtAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{})
		p.run()
		defer p.stop()
		p.after(2 * time.Second)
		must(t, p.acme.gitea.SetFault(giteatest.Fault{Status: 500}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		found, err := p.group.Reap(ctx, true)
		if err == nil || !strings.Contains(err.Error(), "server acme") || found == nil {
			t.Errorf("found %+v, %v", found, err)
		}
		if _, err := p.group.Preview(ctx); err != nil {
			t.Error(err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
