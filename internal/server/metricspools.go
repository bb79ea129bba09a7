package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// poolMetrics describes what is said of each pool.
type poolMetrics struct {
	runners, waiting, limit, outdated, hold *prometheus.Desc
	paused                                  *prometheus.Desc
	breaker, failures, nudges               *prometheus.Desc
}

func newPoolMetrics(desc descs) poolMetrics {
	return poolMetrics{
		runners:  desc("pool_runners", "Runners of the pool, by state.", "pool", "state"),
		waiting:  desc("pool_waiting_jobs", "Queued jobs that the pool is to serve.", "pool"),
		limit:    desc("pool_max_runners", "Runners that the pool may have at most.", "pool"),
		outdated: desc("pool_outdated_runners", "Runners of the pool that are to be replaced.", "pool"),
		hold:     desc("pool_hold", "1 for what keeps the pool from starting anything, if something does.", "pool", "reason"),
		paused:   desc("pool_paused", "1 while somebody has paused or drained the pool.", "pool"),
		breaker:  desc("breaker_open", "1 while the pool starts nothing, or one runner at a time, since its runners fail.", "pool"),
		failures: desc("breaker_failures", "Runners of the pool that failed since the last that worked.", "pool"),
		nudges:   desc("nudges_total", "How often a runner of the pool had to be woken for a job that waited beside it.", "pool"),
	}
}

func (m poolMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{m.runners, m.waiting, m.limit, m.outdated, m.hold, m.paused, m.breaker, m.failures, m.nudges}
}

func (m poolMetrics) collect(p plan.PoolStatus, gauge gauges) {
	gauge(m.runners, float64(p.Standby), p.Name, "standby")
	gauge(m.runners, float64(p.Starting), p.Name, "starting")
	gauge(m.runners, float64(p.Idle), p.Name, "idle")
	gauge(m.runners, float64(p.Busy), p.Name, "busy")
	gauge(m.runners, float64(p.Leaving), p.Name, "leaving")
	gauge(m.waiting, float64(p.Waiting), p.Name)
	gauge(m.limit, float64(p.Max), p.Name)
	gauge(m.outdated, float64(p.Outdated), p.Name)
	for _, kind := range plan.HoldKinds() {
		gauge(m.hold, oneIf(p.HoldKind == kind), p.Name, string(kind))
	}
	gauge(m.paused, oneIf(p.Paused != nil), p.Name)
	gauge(m.breaker, oneIf(p.BreakerOpen), p.Name)
	gauge(m.failures, float64(p.Failures), p.Name)
}

// jobMetrics describes what is said of the queued jobs that were read.
type jobMetrics struct {
	unserved, poolUnserved, oldest *prometheus.Desc
}

func newJobMetrics(desc descs) jobMetrics {
	return jobMetrics{
		unserved:     desc("unserved_jobs", "Queued jobs that were read and that no pool serves now, by what keeps them from it.", "reason"),
		poolUnserved: desc("pool_unserved_jobs", "Queued jobs that were read, that the pool would be the first to serve, and that none serves now.", "pool"),
		oldest:       desc("pool_oldest_wait_seconds", "How long the longest waiting job has been seen to wait that the pool is to serve, or would be the first to; 0 without one.", "pool"),
	}
}

func (m jobMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{m.unserved, m.poolUnserved, m.oldest}
}

// otherReason is that of jobs whose obstacle has no name.
const otherReason = "other"

// collect counts also what there is none of, so that a rule can rely on it.
func (m jobMetrics) collect(s plan.Status, gauge gauges) {
	byReason, byPool, oldest := make(map[plan.ObstacleKind]int), make(map[string]int), make(map[string]time.Duration)
	kinds := append(plan.ObstacleKinds(), otherReason)
	for _, kind := range kinds {
		byReason[kind] = 0
	}
	for _, j := range s.Queue {
		pool := j.Pool
		if pool == "" {
			kind := j.Obstacle
			if _, known := byReason[kind]; !known {
				kind = otherReason
			}
			byReason[kind]++
			pool = j.Fits
			byPool[pool]++
		}
		if !j.SeenAt.IsZero() {
			oldest[pool] = max(oldest[pool], s.CycleAt.Sub(j.SeenAt))
		}
	}
	for _, kind := range kinds {
		gauge(m.unserved, float64(byReason[kind]), string(kind))
	}
	for _, p := range s.Pools {
		gauge(m.poolUnserved, float64(byPool[p.Name]), p.Name)
		gauge(m.oldest, oldest[p.Name].Seconds(), p.Name)
	}
}

// budgetMetrics describes what is limited over all pools.
type budgetMetrics struct {
	taken, limit map[string]*prometheus.Desc // by resource
}

func newBudgetMetrics(desc descs) budgetMetrics {
	return budgetMetrics{
		taken: map[string]*prometheus.Desc{
			"runners": desc("budget_taken_runners", "Runners of all pools together that count for limits.runners."),
			"cpus":    desc("budget_taken_cpus", "CPUs that the runners of all pools take of limits.cpus."),
			"memory":  desc("budget_taken_memory_bytes", "Memory that the runners of all pools take of limits.memory."),
		},
		limit: map[string]*prometheus.Desc{
			"runners": desc("budget_limit_runners", "Runners that all pools may have together."),
			"cpus":    desc("budget_limit_cpus", "CPUs that the runners of all pools may take together."),
			"memory":  desc("budget_limit_memory_bytes", "Memory that the runners of all pools may take together."),
		},
	}
}

func (m budgetMetrics) all() []*prometheus.Desc {
	var list []*prometheus.Desc
	for _, resource := range []string{"runners", "cpus", "memory"} {
		list = append(list, m.taken[resource], m.limit[resource])
	}
	return list
}

// collect says what is limited over all pools. Where nothing is, nothing is said.
func (m budgetMetrics) collect(budgets []plan.Budget, gauge gauges) {
	for _, b := range budgets {
		if taken, known := m.taken[b.Resource]; known && b.Server == "" {
			gauge(taken, b.Taken)
			gauge(m.limit[b.Resource], b.Limit)
		}
	}
}
