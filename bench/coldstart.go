package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"scaler.io/scaler/internal/plan"
)

// The pace of an idle runner that polls: 2 s after it has had something to do,
// doubled while there is nothing, up to 5 s. That is the official runner's.
const (
	pollFirst = 2 * time.Second
	pollMost  = 5 * time.Second
)

// pollInterval is the daemon's default poll_interval.
const pollInterval = time.Second

// coldFigures are what cold_start measured. Times are medians.
type coldFigures struct {
	RatioP50     float64 `json:"ratio_p50"`
	RatioP50Poll float64 `json:"ratio_p50_poll"`
	RatioStandby float64 `json:"ratio_p50_standby"`
	OursMS       float64 `json:"ours_ms"`
	OursPollMS   float64 `json:"ours_poll_ms"`
	StandbyMS    float64 `json:"ours_standby_ms"`
	FloorMS      float64 `json:"floor_ms"`
	PollingMS    float64 `json:"polling_ms"`
	Jobs         int     `json:"jobs"`
}

// cold is the stage of each kind.
type cold struct {
	hook, ahead, poll, hand, idle *stage
	// arrivals are how long after a poll the jobs come that are left for byPoll.
	arrivals []time.Duration
}

// arrivals are at random, but one in each of n equal parts of the interval: few
// jobs are enough, then, to tell what any would wait.
func arrivals(n int, interval time.Duration) []time.Duration {
	part := interval / time.Duration(n)
	at := make([]time.Duration, n)
	for i, place := range rand.Perm(n) {
		at[i] = time.Duration(place)*part + rand.N(part)
	}
	return at
}

// coldStart measures how long one job waits when there is no runner: with the
// daemon told by a webhook, also with a runner on standby, with the daemon
// polling, and with everything done by hand the moment the job is queued. Beside these, how long it waits for an
// idle runner that polls.
func coldStart(ctx context.Context, b *bench) error {
	c := &cold{arrivals: arrivals(b.coldJobs, pollInterval)}
	for _, s := range []struct {
		stage **stage
		name  string
	}{{&c.hook, "cold-hook"}, {&c.ahead, "cold-standby"}, {&c.poll, "cold-poll"}, {&c.hand, "cold-hand"}, {&c.idle, "cold-idle"}} {
		made, err := b.newStage(s.name, b.host.ip)
		if err != nil {
			return err
		}
		defer made.close()
		*s.stage = made
	}
	set := settings{pool: "max: 4", limits: b.opts.limits, image: b.image, network: b.host.network}
	set.pollActive = pollInterval
	if err := c.poll.run(ctx, set); err != nil {
		return err
	}
	set.webhook, set.pollActive = true, 0
	if err := c.hook.run(ctx, set); err != nil {
		return err
	}
	set.pool += ", standby: 1"
	if err := c.ahead.run(ctx, set); err != nil {
		return err
	}
	if err := c.ahead.rest(ctx, 1); err != nil {
		return err
	}
	stopIdle, err := c.idle.keepPolling(ctx)
	if err != nil {
		return err
	}
	defer stopIdle()
	var hook, ahead, poll, hand, idle []time.Duration
	for range b.coldJobs {
		for _, kind := range []struct {
			times *[]time.Duration
			one   func(context.Context) (time.Duration, error)
		}{{&hook, c.byHook}, {&ahead, c.byStandby}, {&hand, c.byHand}, {&poll, c.byPoll}, {&idle, c.byIdle}} {
			if err := pause(ctx, rand.N(b.coldPause)); err != nil {
				return err
			}
			took, err := kind.one(ctx)
			if err != nil {
				return err
			}
			*kind.times = append(*kind.times, took)
		}
	}
	b.report.cold(coldFigures{
		OursMS: ms(median(hook)), OursPollMS: ms(median(poll)), FloorMS: ms(median(hand)), PollingMS: ms(median(idle)), StandbyMS: ms(median(ahead)), Jobs: b.coldJobs,
		RatioP50: ratio(median(hook), median(hand)), RatioP50Poll: ratio(median(poll), median(hand)), RatioStandby: ratio(median(ahead), median(hand)),
	})
	return nil
}

// byHook times one job with the daemon that gets webhooks.
func (c *cold) byHook(ctx context.Context) (time.Duration, error) {
	took, err := c.hook.started(ctx, c.hook.queue(1, 0))
	if err != nil {
		return 0, err
	}
	return took, c.hook.empty(ctx)
}

// byStandby times one job with the daemon that gets webhooks and has a runner
// on standby, and waits for the next one.
func (c *cold) byStandby(ctx context.Context) (time.Duration, error) {
	took, err := c.ahead.started(ctx, c.ahead.queue(1, 0))
	if err != nil {
		return 0, err
	}
	return took, c.ahead.rest(ctx, 1)
}

// byPoll times one job with the daemon that polls each second, whatever happens.
// The job comes at any time between two polls.
func (c *cold) byPoll(ctx context.Context) (time.Duration, error) {
	if err := c.poll.nextLook(ctx); err != nil {
		return 0, err
	}
	after := c.arrivals[0]
	c.arrivals = c.arrivals[1:]
	if err := pause(ctx, after); err != nil {
		return 0, err
	}
	took, err := c.poll.started(ctx, c.poll.queue(1, 0))
	if err != nil {
		return 0, err
	}
	return took, c.poll.empty(ctx)
}

// byHand times one job with the bare sequence, which begins at once.
func (c *cold) byHand(ctx context.Context) (time.Duration, error) {
	s := c.hand
	jobs := s.queue(1, 0)
	id, err := s.enrol(ctx, fmt.Sprintf("%s-hand-%d", s.b.id, jobs[0]), true)
	if err != nil {
		return 0, err
	}
	container, err := s.byHand(ctx, id)
	if err != nil {
		return 0, err
	}
	took, err := s.started(ctx, jobs)
	if err != nil {
		return 0, err
	}
	if err := s.await(ctx, func() bool { return len(s.gitea.State().Runners) == 0 }); err != nil {
		return 0, err
	}
	return took, s.b.engine.remove(ctx, container)
}

// byIdle times one job with the runner that polls.
func (c *cold) byIdle(ctx context.Context) (time.Duration, error) {
	return c.idle.started(ctx, c.idle.queue(1, 0))
}

// keepPolling runs a runner that is there all the time, until the returned
// function is called. Its jobs are done the moment it gets them.
func (s *stage) keepPolling(ctx context.Context) (stop func(), err error) {
	id, err := s.enrol(ctx, s.b.id+"-idle", false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen, wait := "0", pollFirst
		for pause(ctx, wait) == nil {
			task, version, err := s.fetch(ctx, &id, seen)
			switch {
			case err != nil: // the next poll is another try
			case task == "":
				seen, wait = version, min(2*wait, pollMost)
			default:
				seen, wait = "0", pollFirst
				_ = s.call(ctx, "UpdateTask", map[string]any{"state": map[string]any{"id": task, "result": "RESULT_SUCCESS"}}, &id, &struct{}{})
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// fetch asks for a job as a runner does; task is empty if there is none.
func (s *stage) fetch(ctx context.Context, id *plan.Identity, seen string) (task, version string, err error) {
	var got struct {
		Task         struct{ ID string }
		TasksVersion string
	}
	err = s.call(ctx, "FetchTask", map[string]any{"tasksVersion": seen}, id, &got)
	return got.Task.ID, got.TasksVersion, err
}
