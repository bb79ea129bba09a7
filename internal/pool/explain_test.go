package pool

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// explained returns the state of a job and what is said of it.
func (r *rig) explained(q plan.Query) (plan.JobState, string) {
	r.t.Helper()
	e, err := r.m.Explain(q)
	if err != nil {
		r.t.Fatal(err)
	}
	return e.State, strings.Join(e.Summary, " ")
}

func TestExplainFollowsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Max = 1 }))
		if _, err := New(r.config, Ports{}, nil).Explain(plan.Query{Job: 1}); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("before the first cycle: %v", err)
		}
		r.run()
		ids := r.queue(2, time.Minute)
		r.after(10 * time.Second)
		name := r.only().Name
		if state, said := r.explained(plan.Query{Job: ids[0]}); state != plan.StateRunning || said != "It is running: runner "+name+" of pool linux has it." {
			t.Errorf("the first job is %s: %s", state, said)
		}
		const full = "No runner is there or on its way for it: pool linux is at its max of 1. It can get a runner when the one runner of pool linux is free or gone."
		if state, said := r.explained(plan.Query{Job: ids[1]}); state != plan.StateQueued || said != full {
			t.Errorf("the other one is %s: %s", state, said)
		}
		queue := r.m.Status().Queue
		if len(queue) != 1 || queue[0].Why() != "pool linux is at its max of 1; it can get a runner when the one runner of pool linux is free or gone" {
			t.Errorf("the status says %+v", queue)
		}
		if state, said := r.explained(plan.Query{URL: queue[0].URL}); state != plan.StateQueued || said != full {
			t.Errorf("by its page it is %s: %s", state, said)
		}
		if state, said := r.explained(plan.Query{Labels: []string{"linux"}, Repo: "a/b"}); state != plan.StateHypothetical || said != full+" An older job that these pools can serve comes before it." {
			t.Errorf("a third one would be %s: %s", state, said)
		}
		r.after(5 * time.Minute)
		if state, said := r.explained(plan.Query{Job: ids[0]}); state != plan.StateUnknown {
			t.Errorf("after its end it is %s: %s", state, said)
		}
		r.stop()
		r.killAll()
	})
}

func TestExplainTellsTokenAndBreakerApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		query := plan.Query{Labels: []string{"linux"}, Repo: "a/b"}
		obstacle := func() plan.Obstacle {
			e, err := r.m.Explain(query)
			if err != nil || len(e.Pools[0].Obstacles) == 0 {
				t.Fatalf("%+v, %v", e, err)
			}
			return e.Pools[0].Obstacles[0]
		}
		r.token.Store("")
		r.run()
		r.after(time.Second)
		if o := obstacle(); o.Kind != plan.ObstacleToken || !o.Until.IsZero() || o.Next != "once the registration token of pool linux can be used" {
			t.Errorf("without a token: %+v", o)
		}
		r.token.Store("wrong-token-0123456789abcdef0123")
		r.queue(1, time.Second)
		r.after(10 * time.Second)
		if o := obstacle(); o.Kind != plan.ObstacleToken || !o.Until.After(time.Now()) || !strings.Contains(o.Next, "or once its registration token is another one") {
			t.Errorf("with a token that is refused: %+v", o)
		}
		r.token.Store(registrationToken)
		r.engine.Fail("Create", errors.New("image unavailable"))
		r.after(30 * time.Second)
		if o := obstacle(); o.Kind != plan.ObstacleBreaker || !o.Until.After(time.Now()) || !strings.Contains(o.Reason, "image unavailable") {
			t.Errorf("with an image that is missing: %+v", o)
		}
		r.stop()
		r.killAll()
	})
}
