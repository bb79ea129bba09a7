package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/state"
)

// The paces of the runners in memory: quick where jobs are to flow, slow where
// they are only to be there.
const (
	quickPolls = 50 * time.Millisecond
	slowPolls  = 20 * time.Second
	churnJob   = 10 * time.Millisecond
	soakJob    = 500 * time.Millisecond
	soakEvery  = 100 * time.Millisecond
	soakWarmUp = 30 * time.Second
)

// unlimited lifts the bound on registrations, which would be all that is seen.
const unlimited = "registrations: 1000000, parallel_starts: 16"

// churnFigures are what churn measured of the daemon's process.
type churnFigures struct {
	Jobs int `json:"jobs"`
	// DecisionsPerS are starts and removals that were decided and carried out.
	DecisionsPerS  float64 `json:"decisions_per_s"`
	CPUSeconds     float64 `json:"cpu_s"`
	PeakRSSMB      float64 `json:"peak_rss_mb"`
	RequestsPerJob float64 `json:"requests_per_job"`
}

// onMemory makes a stage whose daemon has an engine in memory. The function
// ends both.
func (b *bench) onMemory(ctx context.Context, name string, polls time.Duration, set settings) (s *stage, e *memEngine, end func(), err error) {
	if s, err = b.newStage(name, "127.0.0.1"); err != nil {
		return nil, nil, nil, err
	}
	if e, err = newMemEngine(s, polls); err != nil {
		s.close()
		return nil, nil, nil, err
	}
	end = func() { s.close(); e.close() }
	set.engine, set.image, set.network = e.path, memImage, "host"
	if err := s.run(ctx, set); err != nil {
		end()
		return nil, nil, nil, err
	}
	return s, e, end, nil
}

// churn sends many short jobs through few places, with an engine in memory that
// answers at once: what it takes is the daemon's own.
func churn(ctx context.Context, b *bench) error {
	s, e, end, err := b.onMemory(ctx, "churn", quickPolls, settings{pool: fmt.Sprintf("max: %d", b.churnSlots), limits: unlimited, webhook: true})
	if err != nil {
		return err
	}
	defer end()
	before := asked(s.gitea)
	began := time.Now()
	s.queue(b.churnJobs, churnJob)
	err = s.await(ctx, func() bool {
		state := s.gitea.State()
		return state.Jobs[giteatest.StatusSuccess] == b.churnJobs && len(state.Runners) == 0
	})
	if err != nil {
		return fmt.Errorf("wait for the jobs: %w", err)
	}
	for made, removed := e.counts(); removed < made; made, removed = e.counts() {
		if err := pause(ctx, lookEvery); err != nil {
			return fmt.Errorf("wait for the containers to be removed: %w", err)
		}
	}
	took := time.Since(began)
	made, removed := e.counts()
	requests := asked(s.gitea) - before
	used, err := s.daemon.stop()
	if err != nil {
		return err
	}
	b.report.churn(churnFigures{
		Jobs: b.churnJobs, DecisionsPerS: perSecond(made+removed, took), CPUSeconds: time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds(),
		PeakRSSMB: float64(used.Maxrss) / 1024, RequestsPerJob: float64(requests) / float64(b.churnJobs),
	})
	return nil
}

// asked counts the requests to a Gitea but for those that runners make.
func asked(g *giteatest.Server) (n int) {
	for kind, count := range g.State().Counts.Calls {
		switch kind {
		case "Declare", "FetchTask", "UpdateTask", "UpdateLog":
		default:
			n += count
		}
	}
	return n
}

// idleFigures are what a daemon needs that has nothing to do.
type idleFigures struct {
	Runners           int     `json:"runners"`
	PeakMB            float64 `json:"peak_rss_mb"`
	RunnersCPUPercent float64 `json:"runners_cpu_percent"` // with the runners
	Pools             int     `json:"pools"`
	PoolsMB           float64 `json:"pools_rss_mb"`
}

// resident reads the memory of a daemon that keeps many idle runners, after it
// has looked at them for a while, and the CPU of one that has many pools and no
// runners.
func resident(ctx context.Context, b *bench) error {
	f := idleFigures{Runners: b.resident, Pools: b.idlePools}
	s, _, end, err := b.onMemory(ctx, "resident", slowPolls,
		settings{pool: fmt.Sprintf("ephemeral: false, min: %d, max: %d", b.resident, b.resident), limits: unlimited})
	if err != nil {
		return err
	}
	defer end()
	err = s.await(ctx, func() bool {
		online := 0
		for _, r := range s.gitea.State().Runners {
			if r.Online {
				online++
			}
		}
		return online == b.resident
	})
	if err != nil {
		return fmt.Errorf("wait for the runners to be online: %w", err)
	}
	if f.RunnersCPUPercent, err = s.daemon.share(ctx, b.residentFor); err != nil {
		return err
	}
	var rss float64
	if rss, f.PeakMB, err = s.daemon.resident(); err != nil {
		return err
	}
	end()
	p, _, endPools, err := b.onMemory(ctx, "pools", slowPolls, settings{pools: b.idlePools, pool: "max: 4"})
	if err != nil {
		return err
	}
	defer endPools()
	if err := pause(ctx, b.idleFor/3); err != nil {
		return err
	}
	cpu, err := p.daemon.share(ctx, b.idleFor)
	if err != nil {
		return err
	}
	if f.PoolsMB, _, err = p.daemon.resident(); err != nil {
		return err
	}
	b.report.resident(rss, cpu, f)
	return nil
}

// soakFigures are what grows over a long time, or does not.
type soakFigures struct {
	Seconds      float64 `json:"seconds"`
	Jobs         int     `json:"jobs"`
	StartRSSMB   float64 `json:"start_rss_mb"`
	EndRSSMB     float64 `json:"end_rss_mb"`
	StartStateKB float64 `json:"start_state_kb"`
	EndStateKB   float64 `json:"end_state_kb"`
}

// soak keeps jobs coming for a long time and compares memory and state at the
// start, once warm, with those at the end.
func soak(ctx context.Context, b *bench) error {
	s, _, end, err := b.onMemory(ctx, "soak", quickPolls, settings{pool: "max: 20", limits: unlimited, webhook: true})
	if err != nil {
		return err
	}
	defer end()
	size := func() (rss, kb float64, err error) {
		if rss, _, err = s.daemon.resident(); err != nil {
			return 0, 0, err
		}
		info, err := os.Stat(filepath.Join(s.dir, "state", state.FileName))
		if err != nil {
			return 0, 0, fmt.Errorf("read size of the state: %w", err)
		}
		return rss, float64(info.Size()) / 1024, nil
	}
	f := soakFigures{Seconds: b.opts.soak.Seconds()}
	flow := func(over time.Duration) error {
		for began := time.Now(); time.Since(began) < over; f.Jobs++ {
			s.queue(1, soakJob)
			if err := pause(ctx, soakEvery); err != nil {
				return err
			}
		}
		return nil
	}
	if err := flow(min(soakWarmUp, b.opts.soak)); err != nil {
		return err
	}
	if f.StartRSSMB, f.StartStateKB, err = size(); err != nil {
		return err
	}
	if err := flow(b.opts.soak); err != nil {
		return err
	}
	if f.EndRSSMB, f.EndStateKB, err = size(); err != nil {
		return err
	}
	b.report.soak(f)
	return nil
}
