package pool

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/webhook"
)

const hookSecret = "hook-secret-0123456789"

// wire brings the server's events to the daemon, as well as a network does.
type wire struct {
	mu   sync.Mutex
	to   http.Handler // nil while no daemon runs
	lose func(body string) bool
	// more is how many times more an event is delivered, and late how much later
	// than at once.
	more func() int
	late func() time.Duration
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	to, times, late := w.to, 1, time.Duration(0)
	if w.more != nil {
		times += w.more()
	}
	if w.late != nil {
		late = w.late()
	}
	lost := to == nil || w.lose != nil && w.lose(string(body))
	w.mu.Unlock()
	time.Sleep(late)
	for i := range times {
		if lost {
			break
		}
		again := req.Clone(req.Context())
		again.Body = io.NopCloser(strings.NewReader(string(body)))
		if i > 0 {
			again.Header.Set("X-Gitea-Delivery", req.Header.Get("X-Gitea-Delivery")+"-again")
		}
		to.ServeHTTP(httptest.NewRecorder(), again)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
}

// eventful makes a rig of Gitea 1.24 whose events reach the daemon.
func eventful(t *testing.T, change ...func(*Config)) (*rig, *wire) {
	t.Helper()
	w := &wire{}
	opts := release(t, "gitea-1.24")
	opts.HookClient, opts.HookDelay = &http.Client{Transport: w}, 700*time.Millisecond
	r := newRig(t, opts, append(change, withEvents)...)
	r.gitea.AddHook("http://daemon/events", hookSecret)
	return r, w
}

// hook has the events reach the daemon that runs.
func (w *wire) hook(r *rig) {
	m := r.m
	events := webhook.New(webhook.Config{Path: "/events", Secret: func() (plan.Secret, error) { return hookSecret, nil }}, func(e webhook.Event) {
		m.Tell(plan.JobEvent{Status: e.Action, Job: e.Job, At: time.Now(), Attempt: e.Attempt, Started: e.Started})
	}, slog.New(slog.DiscardHandler))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = events.Handler()
}

func (w *wire) unhook() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = nil
}

// quiet waits until the daemon has stopped looking for jobs that it may have
// missed before its start.
func (r *rig) quiet() {
	r.after(15 * time.Minute)
	r.has("long after the start", 0, 0)
}

func (r *rig) end() {
	r.after(15 * time.Minute)
	r.stop()
	r.gitea.Close()
	r.wantNothingLeft()
}

func TestJobsThatEventsTellOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := eventful(t)
		r.run()
		w.hook(r)
		r.quiet()
		before := r.gitea.State().Counts.Registrations
		r.queue(6, 2*time.Minute)
		r.after(time.Minute)
		r.has("6 jobs run", 0, 6)
		if n := r.gitea.State().Counts.Registrations - before; n != 6 {
			t.Errorf("%d runners for 6 jobs", n)
		}
		for _, s := range r.m.Status().Runners {
			if s.Job == 0 || s.Jobs != 1 {
				t.Errorf("runner %s: job %d, %d jobs", s.Name, s.Job, s.Jobs)
			}
		}
		r.after(2 * time.Minute)
		r.wantJobs("success", 6)
		cancelled := r.queue(12, time.Minute)
		r.after(5 * time.Second)
		if n := len(r.m.Status().Queue); n != 2 {
			t.Errorf("%d jobs wait, want 2 beyond max", n)
		}
		for _, id := range cancelled[10:] {
			if err := r.gitea.CancelJob(id); err != nil {
				t.Fatal(err)
			}
		}
		r.after(2 * time.Minute)
		r.wantJobs("success", 16)
		r.end()
	})
}

func TestLostEvents(t *testing.T) {
	for name, lost := range map[string]string{"of picks": "in_progress", "of ends": "completed"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := eventful(t)
				w.lose = func(body string) bool { return strings.Contains(body, `"action": "`+lost+`"`) }
				r.run()
				w.hook(r)
				r.quiet()
				before := r.gitea.State().Counts.Registrations
				r.queue(4, 3*time.Minute)
				r.after(2 * time.Minute)
				r.has("the jobs run", 0, 4)
				r.after(2 * time.Minute)
				r.wantJobs("success", 4)
				if n := r.gitea.State().Counts.Registrations - before; n != 4 {
					t.Errorf("%d runners for 4 jobs", n)
				}
				r.end()
			})
		})
	}
}

func TestLostEventsOfQueuedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := eventful(t)
		r.run()
		w.hook(r)
		r.quiet()
		w.lose = func(body string) bool { return strings.Contains(body, `"action": "queued"`) }
		r.queue(3, time.Minute)
		r.after(lookAnyway)
		r.wantJobs("success", 3)
		r.end()
	})
}

func TestJobThatSomebodyElseTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := eventful(t)
		r.run()
		w.hook(r)
		r.quiet()
		before := r.gitea.State().Counts.Registrations
		w.lose = func(body string) bool { return !strings.Contains(body, `"action": "queued"`) }
		if err := r.gitea.CancelJob(r.queue(1, time.Minute)[0]); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		if n := len(r.m.Status().Queue); n != 0 {
			t.Errorf("%d jobs wait by the book, want none", n)
		}
		if n := r.gitea.State().Counts.Registrations - before; n > 3 {
			t.Errorf("%d runners for a job that is not there", n)
		}
		if r.log.count("job taken for gone") != 1 {
			t.Error("that was not said")
		}
		w.lose = nil
		r.queue(1, time.Minute)
		r.after(2 * time.Minute)
		r.wantJobs("success", 1)
		r.end()
	})
}

func TestBookAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := eventful(t, sole(func(p *plan.Pool) { p.Max = 1 }))
		r.run()
		w.hook(r)
		r.quiet()
		r.queue(3, 10*time.Minute)
		r.after(time.Minute)
		w.unhook()
		r.stop()
		r.after(time.Minute)
		r.run()
		w.hook(r)
		r.after(10 * time.Second)
		if s := r.m.Status(); s.QueueSize != 2 || s.Pools[0].Busy != 1 {
			t.Errorf("after the restart %d wait and %d runners are busy", s.QueueSize, s.Pools[0].Busy)
		}
		r.after(40 * time.Minute)
		r.wantJobs("success", 3)
		r.end()
	})
}

func TestServerThatLearnsToListJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := eventful(t, sole(func(p *plan.Pool) { p.Max = 2 }))
		r.run()
		w.hook(r)
		r.quiet()
		r.queue(5, 2*time.Minute)
		r.after(time.Minute)
		r.gitea.SetProfile(release(t, "gitea-1.26").Profile)
		r.after(5 * time.Second)
		if s := r.m.Status(); len(s.Queue) != 3 || s.Pools[0].Busy != 2 {
			t.Errorf("after the upgrade %d wait and %d runners are busy", s.QueueSize, s.Pools[0].Busy)
		}
		if stored, err := r.store.Jobs(); err != nil || len(stored) != 0 {
			t.Errorf("the book still has %d jobs, %v", len(stored), err)
		}
		r.after(10 * time.Minute)
		r.wantJobs("success", 5)
		r.end()
	})
}

// Whatever becomes of the events, and of the daemon, all jobs are done and nothing
// is left.
func TestEventsOfABadNetwork(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			r, w := eventful(t)
			net := rand.New(rand.NewPCG(seed, 5)) // guarded by the wire's own lock
			w.lose = func(string) bool { return net.IntN(4) == 0 }
			w.more = func() int { return net.IntN(3) / 2 }
			w.late = func() time.Duration { return time.Duration(net.IntN(20_000)) * time.Millisecond }
			r.run()
			w.hook(r)
			jobs := 0
			for range 12 {
				n := 1 + rng.IntN(5)
				jobs += n
				r.queue(n, time.Duration(1+rng.IntN(300))*time.Second)
				r.after(time.Duration(rng.IntN(600)) * time.Second)
				if rng.IntN(3) == 0 {
					w.unhook()
					r.stop()
					r.after(time.Duration(rng.IntN(20)) * time.Second)
					r.run()
					w.hook(r)
				}
			}
			r.wantDone(jobs, 3*time.Hour)
			w.lose = nil
			r.end()
		})
	}
}
