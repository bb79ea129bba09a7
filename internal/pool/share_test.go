package pool

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func sharing(names ...string) func(*Config) {
	return func(c *Config) {
		c.Sharing = plan.Sharing{Self: names[0], Handover: 10 * time.Second}
		for _, n := range names {
			c.Sharing.Peers = append(c.Sharing.Peers, plan.Peer{Name: n})
		}
	}
}

// The other daemon never comes: its jobs are left to it until half of the
// handover is over, and then its share is none.
func TestJobsOfAnAbsentDaemonAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sharing("build-1", "build-2"), sole(func(p *plan.Pool) { p.Max = 40 }))
		r.run()
		r.gitea.AddJobs(giteatest.JobSpec{Count: 20, Repo: "acme/app", Labels: []string{"linux"}, Duration: time.Minute})
		r.after(3 * time.Second)
		s := r.m.Status()
		left := 0
		for _, j := range s.Queue {
			if strings.HasPrefix(j.Reason, "left to build-2 until ") && j.Obstacle == plan.ObstaclePeer && j.Pool == "" {
				left++
			}
		}
		if busy := s.Pools[0].Busy; left == 0 || left+busy > 20 || busy == 0 {
			t.Errorf("%d jobs are left to build-2, %d run: %+v", left, busy, s.Queue)
		}
		if n := len(r.journal.of(plan.EventJobUnserved)); n > 0 {
			t.Errorf("%d jobs were told to be unserved", n)
		}
		if len(s.Peers) != 2 || s.Peers[0].Name != "build-1" || !s.Peers[0].Self || !s.Peers[0].BehindUntil.IsZero() || !s.Peers[1].BehindUntil.IsZero() {
			t.Errorf("peers %+v", s.Peers)
		}
		r.after(6 * time.Second)
		s = r.m.Status()
		if s.QueueSize != 0 || s.Peers[1].BehindUntil.IsZero() {
			t.Errorf("after the handover %d wait, peers %+v", s.QueueSize, s.Peers)
		}
		r.gitea.AddJobs(giteatest.JobSpec{Count: 10, Repo: "acme/app", Labels: []string{"linux"}, Duration: time.Second})
		r.after(12 * time.Second)
		if s := r.m.Status(); s.QueueSize != 0 {
			t.Errorf("%d jobs wait for longer than the handover", s.QueueSize)
		}
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 30)
		r.stop()
		r.wantNothingLeft()
	})
}

// Where runners take longer to come online than other daemons wait for them, that is
// a problem, until the handover is long enough.
func TestHandoverThatIsTooShortIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sharing("build-1", "build-2"), sole(func(p *plan.Pool) { p.Max = 40 }))
		r.engine.StartTime = 8 * time.Second
		r.run()
		problem := func() string {
			for _, p := range r.m.Status().Problems {
				if p.Subject == "peers" {
					return p.Message
				}
			}
			return ""
		}
		r.gitea.AddJobs(giteatest.JobSpec{Count: 3, Repo: "acme/app", Labels: []string{"linux"}, Duration: time.Minute})
		r.after(30 * time.Second)
		if got := problem(); got != "" {
			t.Errorf("after too few starts: %s", got)
		}
		r.gitea.AddJobs(giteatest.JobSpec{Count: 12, Repo: "acme/app", Labels: []string{"linux"}, Duration: time.Minute})
		r.after(time.Minute)
		if got := problem(); !strings.Contains(got, "to come online, and after half of peers.handover, which is 10s, other daemons start runners for the same jobs: set it to ") {
			t.Errorf("problem %q", got)
		}
		cfg := r.config
		cfg.Sharing.Handover = 40 * time.Second
		if err := r.m.Reconfigure(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Second)
		if got := problem(); got != "" {
			t.Errorf("with a longer handover: %s", got)
		}
		r.after(5 * time.Minute)
		r.stop()
	})
}

// Without peers in the configuration all jobs are served at once.
func TestSharingFollowsTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sharing("build-1", "build-2", "build-3"))
		r.run()
		cfg := r.config
		cfg.Sharing = plan.Sharing{}
		if err := r.m.Reconfigure(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		r.gitea.AddJobs(giteatest.JobSpec{Count: 8, Repo: "acme/app", Labels: []string{"linux"}, Duration: time.Minute})
		r.after(4 * time.Second)
		if s := r.m.Status(); s.Pools[0].Busy != 8 || len(s.Peers) > 0 {
			t.Errorf("%d of 8 jobs run, peers %+v", s.Pools[0].Busy, s.Peers)
		}
		sharing("build-1", "build-2")(&cfg)
		if err := r.m.Reconfigure(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Second)
		if s := r.m.Status(); len(s.Peers) != 2 {
			t.Errorf("peers %+v", s.Peers)
		}
		r.after(2 * time.Minute)
		r.stop()
	})
}

func TestMoreIsReadWhereJobsAreShared(t *testing.T) {
	cfg := Config{}
	m := New(cfg, Ports{}, nil)
	if got := m.readLimit(7); got != 7 {
		t.Errorf("alone %d are read", got)
	}
	sharing("a", "b", "c")(&cfg)
	m = New(cfg, Ports{}, nil)
	for most, want := range map[int]int{7: 21, 400: readShared, 2000: 2000} {
		if got := m.readLimit(most); got != want {
			t.Errorf("for %d are read %d, want %d", most, got, want)
		}
	}
}
