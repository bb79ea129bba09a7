package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/plan"
)

// endless is how long a job takes that is ended by hand.
const endless = time.Hour

// rates are things per second, ours against the floor.
type rates struct {
	Ratio     float64 `json:"ratio"`
	OursPerS  float64 `json:"ours_per_s"`
	FloorPerS float64 `json:"floor_per_s"`
	// FloorParallel is the parallelism at which the engine was quickest.
	FloorParallel int `json:"floor_parallel"`
	Count         int `json:"count"`
	Rounds        int `json:"rounds"`
	// OursCPUSeconds and OursRequests are what the daemon used in one turn: CPU
	// time, and requests to Gitea. Medians.
	OursCPUSeconds float64 `json:"ours_cpu_s,omitempty"`
	OursRequests   float64 `json:"ours_requests,omitempty"`
}

// turns is what was measured of one thing, round by round.
type turns struct {
	ours, floor []time.Duration
	used        []effort // by ours
}

// effort is what the daemon has used up to some moment, or between two.
type effort struct {
	cpu      time.Duration
	requests int
}

// effort reads what the stage's daemon has used so far.
func (s *stage) effort() (effort, error) {
	cpu, err := s.daemon.cpu()
	return effort{cpu, asked(s.gitea)}, err
}

func (e effort) since(before effort) effort {
	return effort{e.cpu - before.cpu, e.requests - before.requests}
}

// rates sums up; count things were done in each turn.
func (t turns) rates(count, parallel int) rates {
	r := rates{OursPerS: perSecond(count, median(t.ours)), FloorPerS: perSecond(count, median(t.floor)), FloorParallel: parallel, Count: count, Rounds: len(t.ours)}
	r.Ratio = r.OursPerS / r.FloorPerS
	if len(t.used) > 0 {
		byCPU := slices.SortedFunc(slices.Values(t.used), func(a, b effort) int { return cmp.Compare(a.cpu, b.cpu) })
		middle := byCPU[len(byCPU)/2]
		r.OursCPUSeconds, r.OursRequests = middle.cpu.Seconds(), float64(middle.requests)
	}
	return r
}

// burst measures how quickly many jobs that come at once get their runners, and
// how quickly as many runners that have finished are cleared away, each against
// a bare loop at the parallelism that suits the engine best.
func burst(ctx context.Context, b *bench) error {
	ours, err := b.newStage("burst-ours", b.host.ip)
	if err != nil {
		return err
	}
	defer ours.close()
	hand, err := b.newStage("burst-hand", b.host.ip)
	if err != nil {
		return err
	}
	defer hand.close()
	set := settings{pool: fmt.Sprintf("max: %d", b.burst), limits: b.opts.limits, image: b.image, network: b.host.network, webhook: true}
	if err := ours.run(ctx, set); err != nil {
		return err
	}
	up, down, err := hand.best(ctx)
	if err != nil {
		return err
	}
	var starts, removals turns
	defer func() { // an engine that is too slow for all rounds loses none of those that are done
		if len(removals.floor) > 0 {
			b.report.rates(starts.rates(b.burst, up), removals.rates(b.burst, down))
		}
	}()
	for range b.rounds {
		if err := ours.burstOurs(ctx, b.burst, &starts, &removals); err != nil {
			return err
		}
		start, remove, err := hand.burstByHand(ctx, b.burst, up, down)
		if err != nil {
			return err
		}
		starts.floor, removals.floor = append(starts.floor, start), append(removals.floor, remove)
	}
	return nil
}

// best finds the parallelism with which the engine starts and removes the most.
func (s *stage) best(ctx context.Context) (up, down int, err error) {
	var quickest [2]time.Duration
	for _, parallel := range []int{1, 2, 4, 8} {
		start, remove, err := s.burstByHand(ctx, s.b.trial, parallel, parallel)
		if err != nil {
			return 0, 0, err
		}
		if quickest[0] == 0 || start < quickest[0] {
			quickest[0], up = start, parallel
		}
		if quickest[1] == 0 || remove < quickest[1] {
			quickest[1], down = remove, parallel
		}
	}
	return up, down, nil
}

// burstOurs queues jobs and times until the last has its runner, then times how
// the daemon clears away runners that have all finished.
func (s *stage) burstOurs(ctx context.Context, count int, starts, removals *turns) error {
	before, err := s.effort()
	if err != nil {
		return err
	}
	jobs := s.queue(count, endless)
	took, err := s.started(ctx, jobs)
	if err != nil {
		return err
	}
	after, err := s.effort()
	if err != nil {
		return err
	}
	starts.ours, starts.used = append(starts.ours, took), append(starts.used, after.since(before))
	if err := pause(ctx, settleFor); err != nil {
		return err
	}
	return s.teardownOurs(ctx, jobs, removals)
}

// teardownOurs freezes the daemon while all runners finish, and takes the time
// from its thaw until the last container is removed. The events of their ends,
// which Gitea sends up to two seconds after, would all wait for the thaw: they
// are held off.
func (s *stage) teardownOurs(ctx context.Context, jobs []int64, removals *turns) error {
	s.events.off.Store(true)
	defer s.events.off.Store(false)
	label := docker.LabelInstance + "=" + s.id
	if err := s.betweenLooks(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.daemon.freeze(), s.end(jobs), s.quiet(ctx, label)); err != nil {
		return err
	}
	before, err := s.effort()
	if err != nil {
		return err
	}
	took, err := s.b.engine.timeRemovals(ctx, label, len(jobs), s.daemon.thaw)
	if err != nil {
		return fmt.Errorf("thaw the daemon and have it remove what has ended: %w", err)
	}
	removals.ours = append(removals.ours, took)
	after, err := s.effort()
	if err != nil {
		return err
	}
	removals.used = append(removals.used, after.since(before))
	return s.empty(ctx)
}

// settleFor is how long the engine gets to come to rest after a burst, and the
// daemon to note what the last jobs' runners are doing.
const settleFor = 6 * time.Second

// lookOver is how long after the last request of a look the daemon is done with
// it. The next look comes 250 ms after it at the soonest.
const lookOver = 100 * time.Millisecond

// betweenLooks waits until the daemon has just looked at Gitea, and asks nothing
// more. One that was frozen in the middle of a look would go on with what it read
// before: its runners would seem to run, and the look to have taken as long as the
// freeze, which it then keeps from the next one.
func (s *stage) betweenLooks(ctx context.Context) error {
	err := s.nextLook(ctx)
	for last, asks := time.Now(), asked(s.gitea); err == nil && time.Since(last) < lookOver; {
		err = pause(ctx, lookOver/20)
		if n := asked(s.gitea); n != asks {
			last, asks = time.Now(), n
		}
	}
	return err
}

// nextLook waits until the daemon asks Gitea for something.
func (s *stage) nextLook(ctx context.Context) error {
	for asks := asked(s.gitea); asked(s.gitea) == asks; {
		if err := pause(ctx, lookOver/20); err != nil {
			return fmt.Errorf("wait until the daemon looks: %w", err)
		}
	}
	return nil
}

// quiet waits until no container with the label runs.
func (s *stage) quiet(ctx context.Context, label string) error {
	for {
		ids, err := s.b.engine.list(ctx, label, true)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := pause(ctx, 10*lookEvery); err != nil {
			return fmt.Errorf("wait for %d runners to finish: %w", len(ids), err)
		}
	}
}

// burstByHand times the bare loops: create, copy and start for runners that
// are registered already, up to the last start; and, after all have finished,
// one list of their containers and their removal.
func (s *stage) burstByHand(ctx context.Context, count, up, down int) (start, remove time.Duration, err error) {
	jobs := s.queue(count, endless)
	runners := make([]plan.Identity, count)
	for i := range runners {
		if runners[i], err = s.enrol(ctx, fmt.Sprintf("%s-hand-%d", s.b.id, jobs[i]), true); err != nil {
			return 0, 0, err
		}
	}
	began := time.Now()
	err = abreast(up, count, func(i int) error {
		_, err := s.byHand(ctx, runners[i])
		return err
	})
	start = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	if _, err := s.started(ctx, jobs); err != nil {
		return 0, 0, err
	}
	label := docker.LabelInstance + "=" + s.b.id
	if err := errors.Join(s.end(jobs), s.quiet(ctx, label)); err != nil {
		return 0, 0, err
	}
	remove, err = s.b.engine.timeRemovals(ctx, label, count, func() error {
		containers, err := s.b.engine.list(ctx, label, false)
		if err != nil {
			return err
		}
		return abreast(down, len(containers), func(i int) error { return s.b.engine.remove(ctx, containers[i]) })
	})
	return start, remove, err
}

// abreast calls f for each of count numbers, some at a time.
func abreast(parallel, count int, f func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(parallel)
	for i := range count {
		group.Go(func() error { return f(i) })
	}
	return group.Wait()
}
