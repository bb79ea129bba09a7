package pool

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// fakeHost is a host whose load a test sets.
type fakeHost struct {
	mu     sync.Mutex
	status plan.HostStatus
}

func (f *fakeHost) Look(time.Time) plan.HostStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// set makes the gates hold for the reason, or none for no reason.
func (f *fakeHost) set(hold string, gates ...plan.HostGate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = plan.HostStatus{Hold: hold, Gates: gates}
}

func (f *fakeHost) port(p *Ports) { p.Pressure = f }

func TestNothingStartsUnderPressureAndWhatRunsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeHost{}
		memory := plan.HostGate{Kind: plan.HostMemory, Known: true, Value: 35, Limit: 20, Holds: true}
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle = 1 }))
		r.run(host.port)
		r.queue(2, time.Minute)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 2)
		r.queue(1, time.Second)
		r.after(10 * time.Second) // the runner that was kept ready has done it
		host.set("the host is under memory pressure: 35 %", memory)
		r.queue(2, time.Second) // one runner is ready
		r.after(10 * time.Second)
		registered := r.gitea.State().Counts.Registrations
		for i := range 20 {
			host.set("the host is under memory pressure: "+strings.Repeat("9", 1+i)+" %", memory)
			r.after(time.Second)
		}
		if n := r.gitea.State().Counts.Registrations; n != registered {
			t.Errorf("%d runners were registered under pressure", n-registered)
		}
		s := r.m.Status()
		if len(s.Queue) != 1 || !strings.HasPrefix(s.Queue[0].Reason, "nothing new starts: the host is under memory pressure: 99") {
			t.Errorf("queue %+v", s.Queue)
		}
		if len(s.Problems) != 1 || s.Problems[0].Subject != "host" || s.Problems[0].Message != s.Host.Hold || !s.Host.Gates[0].Holds {
			t.Errorf("problems %+v, host %+v", s.Problems, s.Host)
		}
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 4)
		if s := r.m.Status(); len(s.Runners) != 0 {
			t.Errorf("left of the runners that have ended: %+v", s.Runners)
		}
		host.set("")
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 5)
		if s := r.m.Status(); len(s.Problems) != 0 || s.Pools[0].Idle != 1 {
			t.Errorf("problems %+v, pool %+v", s.Problems, s.Pools[0])
		}
		if begun, changed := r.log.count("msg=problem subject=host"), r.log.count("has changed"); begun != 1 || changed != 0 {
			t.Errorf("the problem is logged %d times, and %d times as changed", begun, changed)
		}
		r.stop()
		r.killAll()
	})
}

func TestHostProblemIsLoggedAgainForAnotherCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeHost{}
		r := newRig(t, giteatest.Options{})
		r.run(host.port)
		disk := plan.HostGate{Kind: plan.HostFreeDisk, Path: "/srv", Holds: true}
		for _, gates := range [][]plan.HostGate{
			{disk}, {{Kind: plan.HostFreeDisk, Path: "/srv", Known: true, Holds: true}}, {{Kind: plan.HostFreeDisk, Path: "/var", Known: true, Holds: true}},
			{{Kind: plan.HostCPU, Holds: false}, {Kind: plan.HostFreeDisk, Path: "/var", Known: true, Holds: true}},
		} {
			host.set("held", gates...)
			r.after(5 * time.Second)
		}
		if begun, changed := r.log.count("msg=problem subject=host"), r.log.count("has changed"); begun != 1 || changed != 2 {
			t.Errorf("the problem is logged %d times, and %d times as changed; want once and twice", begun, changed)
		}
		r.stop()
	})
}

func TestPersistentRunnerWaitsForItsNewContainerUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeHost{}
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run(host.port)
		r.after(10 * time.Second)
		before := r.only()
		host.set("the host is short of memory")
		r.kill(before.Container)
		r.after(30 * time.Second)
		if got := r.only(); got.Phase != plan.PhaseExited || got.Name != before.Name {
			t.Errorf("under pressure it is %+v", got)
		}
		host.set("")
		r.after(30 * time.Second)
		if got := r.only(); got.Phase != plan.PhaseIdle || got.Name != before.Name || got.ServerID != before.ServerID || got.Container == before.Container {
			t.Errorf("after the pressure it is %+v, before it was %+v", got, before)
		}
		r.stop()
		r.killAll()
	})
}
