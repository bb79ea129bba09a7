package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// tally is a meter that keeps what it is told.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	took   map[plan.Span][]time.Duration
}

func newTally() *tally {
	return &tally{counts: map[string]int{}, took: map[plan.Span][]time.Duration{}}
}

func (c *tally) count(n int, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[fmt.Sprintf(format, args...)] += n
}

func (c *tally) Started(pool string, cause plan.Cause) { c.count(1, "start %s %s", pool, cause) }
func (c *tally) Stopped(pool string, cause plan.Cause) { c.count(1, "stop %s %s", pool, cause) }
func (c *tally) Failed(pool string, at plan.Failure)   { c.count(1, "fail %s %s", pool, at) }
func (c *tally) Reaped(kind plan.Remains, n int)       { c.count(n, "reap %s", kind) }

func (c *tally) Took(_ string, what plan.Span, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took[what] = append(c.took[what], took)
}

// String has the counts in order.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		lines = append(lines, fmt.Sprintf("%s: %d", what, c.counts[what]))
	}
	return strings.Join(lines, ", ")
}

// want checks how often something took how long.
func (c *tally) want(t *testing.T, what plan.Span, n int, atLeast, atMost time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.took[what]) != n {
		t.Errorf("%s was measured %d times, want %d: %v", what, len(c.took[what]), n, c.took[what])
	}
	for _, d := range c.took[what] {
		if d < atLeast || d > atMost {
			t.Errorf("%s took %s, want %s to %s", what, d, atLeast, atMost)
		}
	}
}

func (c *tally) use(p *Ports) { p.Meter = c }

func TestWhatIsDoneIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTally()
		r := newRig(t, giteatest.Options{})
		r.run(c.use)
		r.queue(3, 20*time.Second)
		r.after(time.Minute)
		r.config = r.edited(func(cfg *Config) { cfg.Spec.Pools[0].Idle, cfg.Spec.Pools[0].IdleTimeout = 1, time.Minute })
		r.reconfigure(r.config)
		r.after(time.Minute)
		r.reconfigure(r.edited(func(cfg *Config) { cfg.Spec.Pools[0].Idle = 0 }))
		r.after(5 * time.Minute)
		r.stop()
		want := "start linux idle: 1, start linux job: 3, stop linux done: 3, stop linux surplus: 1"
		if got := c.String(); got != want {
			t.Errorf("counted: %s\nwant: %s", got, want)
		}
		c.want(t, plan.SpanWait, 3, 100*time.Millisecond, 4*time.Second)
		c.want(t, plan.SpanRegister, 4, 0, time.Second)
		c.want(t, plan.SpanCreate, 4, 70*time.Millisecond, time.Second)
		c.want(t, plan.SpanStart, 4, 170*time.Millisecond, time.Second)
		c.want(t, plan.SpanBoot, 4, 0, 3*time.Second)
		c.want(t, plan.SpanDrain, 1, 10*time.Second, 20*time.Second) // drain.settle is 10 s
		c.want(t, plan.SpanDeregister, 4, 0, time.Second)
		r.wantNothingLeft()
	})
}

// A job that waits while its pool is full has waited for all of that time, also
// for a runner that is there since before the daemon.
func TestWaitOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTally()
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Max = 1 }))
		r.run(c.use)
		r.queue(2, time.Minute)
		r.after(30 * time.Second)
		r.stop()
		r.run(c.use) // the job that runs has been counted
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		waits := c.took[plan.SpanWait]
		if len(waits) != 2 || waits[0] > 4*time.Second || waits[1] < 25*time.Second || waits[1] > 40*time.Second {
			t.Errorf("waits %v, want one short one, and one since the second start", waits)
		}
		r.killAll()
	})
}

func TestFailuresAreCountedByWhatFailed(t *testing.T) {
	tests := map[string]struct {
		harm func(*rig)
		want plan.Failure
	}{
		"token":    {func(r *rig) { r.token.Store(strings.Repeat("wrong", 8)) }, plan.FailedToken},
		"register": {func(r *rig) { _ = r.gitea.SetFault(giteatest.Fault{Kind: "Register", Status: 502}) }, plan.FailedRegister},
		"image":    {func(r *rig) { r.engine.Fail("Create", fmt.Errorf("pull x: %w", plan.ErrImage)) }, plan.FailedImage},
		"create":   {func(r *rig) { r.engine.Fail("Create", errors.New("no such network")) }, plan.FailedCreate},
		"start":    {func(r *rig) { r.engine.Fail("Start", errors.New("no such device")) }, plan.FailedStart},
		"exit": {func(r *rig) {
			r.engine.SetProcess(func(context.Context, <-chan struct{}, map[string][]byte) int { return 3 })
		}, plan.FailedExit},
		"boot": {func(r *rig) {
			r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, _ map[string][]byte) int {
				select {
				case <-term:
				case <-ctx.Done():
				}
				return 0
			})
		}, plan.FailedBoot},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTally()
				r := newRig(t, giteatest.Options{})
				tt.harm(r)
				r.run(c.use)
				r.queue(1, time.Second)
				r.after(3 * time.Minute)
				r.stop()
				r.killAll()
				c.mu.Lock()
				defer c.mu.Unlock()
				for what, n := range c.counts {
					if strings.HasPrefix(what, "fail ") && (what != "fail linux "+string(tt.want) || n < 1) {
						t.Errorf("%s: %d, want %s", what, n, tt.want)
					}
				}
				if c.counts["fail linux "+string(tt.want)] == 0 || c.counts["start linux job"] == 0 {
					t.Errorf("counts %v", c.counts)
				}
			})
		})
	}
}

func TestReapedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTally()
		r := newRig(t, giteatest.Options{})
		r.run(c.use)
		r.register(plan.RunnerPrefix + r.config.Instance + "-linux-abcdefgh")
		r.queue(1, time.Hour)
		r.after(10 * time.Second)
		r.engine.AddJobContainer(r.only().Name, jobContainer)
		r.after(3 * time.Minute)
		r.kill(r.only().Container)
		r.after(2 * time.Minute)
		r.stop()
		r.killAll()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.counts["reap corpse"] != 1 || c.counts["reap job"] < 1 {
			t.Errorf("counts %v", c.counts)
		}
	})
}

// deaf hears nothing of what happens to containers.
type deaf struct{ inspector }

func (deaf) Watch(ctx context.Context, _ func(string)) error {
	<-ctx.Done()
	return ctx.Err()
}

// Whoever asks what would be done changes nothing of what is counted.
func TestPreviewsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTally()
		r := newRig(t, giteatest.Options{}, func(cfg *Config) { cfg.Pace.Usual = 5 * time.Second })
		r.run(c.use, func(p *Ports) { p.Inspector = deaf{p.Inspector} })
		r.queue(1, time.Minute)
		for range 40 {
			r.after(250 * time.Millisecond)
			if _, err := r.m.Preview(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.wantJobs(giteatest.StatusInProgress, 1)
		c.want(t, plan.SpanBoot, 1, 0, 6*time.Second)
		c.want(t, plan.SpanWait, 1, 0, 11*time.Second)
		if got, want := c.String(), "start linux job: 1"; got != want {
			t.Errorf("counted: %s, want: %s", got, want)
		}
		r.after(2 * time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}
