package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// planSize is how much one plan is about.
type planSize struct{ jobs, runners, pools int }

// planFigures are what planning measured. Growth is what doubling one of the
// three does to the time: 1 for none, 2 for linear; the first from a quarter to
// half of it, the second from half to all.
type planFigures struct {
	MS            float64    `json:"ms"`
	Jobs          int        `json:"jobs"`
	Runners       int        `json:"runners"`
	Pools         int        `json:"pools"`
	JobsGrowth    [2]float64 `json:"jobs_growth"`
	RunnersGrowth [2]float64 `json:"runners_growth"`
	PoolsGrowth   [2]float64 `json:"pools_growth"`
}

// planning times one computation of a plan, and how the time grows with each of
// jobs, runners and pools.
func planning(ctx context.Context, b *bench) error {
	full := b.planSize
	f := planFigures{Jobs: full.jobs, Runners: full.runners, Pools: full.pools}
	growth := func(shrink func(p *planSize, by int)) (g [2]float64) {
		var sizes [3]planSize
		for i := range sizes {
			sizes[i] = full
			shrink(&sizes[i], 4>>i)
		}
		times := timePlans(ctx, b.planRuns, sizes[:])
		return [2]float64{ratio(times[1], times[0]), ratio(times[2], times[1])}
	}
	f.MS = ms(timePlans(ctx, b.planRuns, []planSize{full})[0])
	f.JobsGrowth = growth(func(p *planSize, by int) { p.jobs /= by })
	f.RunnersGrowth = growth(func(p *planSize, by int) { p.runners /= by })
	f.PoolsGrowth = growth(func(p *planSize, by int) { p.pools /= by })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.report.plan(f)
	return nil
}

// timePlans returns the least time that a plan of each size took: it computes
// and never waits, so all above that is due to others. The sizes take turns.
func timePlans(ctx context.Context, runs int, sizes []planSize) []time.Duration {
	least := make([]time.Duration, len(sizes))
	for run := range runs {
		for i, size := range sizes {
			if ctx.Err() != nil {
				return least
			}
			spec, snap := world(size)
			runtime.GC() // so that no plan pays for the world before
			began := time.Now()
			plan.Compute(spec, snap)
			if took := time.Since(began); run == 0 || took < least[i] {
				least[i] = took
			}
		}
	}
	return least
}

// world makes a busy fleet: pools with labels of their own and one in common,
// jobs spread over them, and runners of which some are starting, some idle and
// most busy.
func world(size planSize) (plan.Spec, plan.Snapshot) {
	now := time.Now()
	scope := plan.Scope{Kind: plan.ScopeInstance}
	spec := plan.Spec{DrainSettle: 10 * time.Second, CanNudge: true, MaxRunners: 2 * size.runners}
	for i := range size.pools {
		spec.Pools = append(spec.Pools, plan.Pool{
			Name: "pool-" + strconv.Itoa(i), Scope: scope, Labels: []string{"linux", "label-" + strconv.Itoa(i)},
			Max: 2*size.runners/size.pools + 1, IdleTimeout: time.Minute, BootTimeout: time.Minute, ShutdownTimeout: time.Hour,
		})
	}
	snap := plan.Snapshot{Now: now}
	for i := range size.runners {
		r := plan.Runner{
			Name: "runner-" + strconv.Itoa(i), Pool: spec.Pools[i%size.pools].Name, Scope: scope, Phase: plan.PhaseBusy, HasJob: true, Ephemeral: true,
			Registered: true, CreatedAt: now.Add(-time.Minute), StartedAt: now.Add(-time.Minute), Since: now.Add(-time.Second),
		}
		switch i % 10 {
		case 0:
			r.Phase, r.HasJob = plan.PhaseIdle, false
		case 1, 2:
			r.Phase, r.HasJob = plan.PhaseStarting, false
		}
		snap.Runners = append(snap.Runners, r)
	}
	for i := range size.jobs {
		labels := []string{"label-" + strconv.Itoa(i%size.pools)}
		if i%4 == 0 {
			labels = []string{"linux"}
		}
		snap.Jobs = append(snap.Jobs, plan.Job{
			ID: int64(i + 1), RunID: int64(i + 1), Repo: "demo/app", Labels: labels, Status: plan.JobQueued,
			QueuedAt: now.Add(-time.Duration(i*7919%size.jobs) * time.Millisecond), SeenAt: now.Add(-time.Second),
		})
	}
	return spec, snap
}

// puts times the durable writing of records, against bare appends of as many
// bytes to a file that is synced after each.
func puts(ctx context.Context, b *bench) (err error) {
	dir := filepath.Join(b.dir, "puts")
	store, err := state.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	file, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var t turns
	for range b.putTurns {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began := time.Now()
		for i := range b.puts {
			if err := store.Put(record(i)); err != nil {
				return err
			}
		}
		t.ours = append(t.ours, time.Since(began))
		began = time.Now()
		for i := range b.puts {
			if err := appendSynced(file, record(i)); err != nil {
				return err
			}
		}
		t.floor = append(t.floor, time.Since(began))
	}
	b.report.state(t.rates(b.puts, 1))
	return nil
}

// record is a runner's record as it usually is in the middle of its life.
func record(i int) state.Record {
	now := time.Now()
	name := fmt.Sprintf("scaler-0123456789ab-linux-%08d", i)
	r := state.Record{
		Name: name, Pool: "linux", Token: "instance", Scope: plan.Scope{Kind: plan.ScopeInstance}, CreatedAt: now, StartedAt: now, Ephemeral: true, Online: true,
		ContainerID: fmt.Sprintf("%064x", i), Reason: "job 4711 of demo/app waits for [linux]",
		Identity: &plan.Identity{ID: int64(i), UUID: "11f3c3a4-6c55-4c2e-a5ff-63ad5bd7b6b1", Name: name, Token: "0123456789abcdef0123456789abcdef01234567", Address: "https://git.example.com", Labels: []string{"linux:host"}, Ephemeral: true},
	}
	r.Enter(plan.PhaseStarting, "", now)
	r.Enter(plan.PhaseIdle, "online", now)
	return r
}

func appendSynced(file *os.File, r state.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync record: %w", err)
	}
	return nil
}
