package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// Meter counts what the daemon does, from its start on. It is safe for concurrent
// use. What it is told apart by are pools of the configuration and words of which
// there are few, never runners, jobs or texts: so the number of its series
// depends on the pools alone.
type Meter struct {
	starts, stops, failures *prometheus.CounterVec   // by pool and reason
	waits                   *prometheus.HistogramVec // by pool
	steps                   *prometheus.HistogramVec // by step
	reaped                  *prometheus.CounterVec   // by kind
	docker, dockerSeconds   *prometheus.CounterVec
	reloads                 *prometheus.CounterVec // by outcome

	mu    sync.Mutex
	pools map[string]bool // that have series
}

// The outcomes of a look at the configuration file.
const (
	ReloadTaken     = "taken"
	ReloadUnchanged = "unchanged"
	ReloadRejected  = "rejected"
)

// durations are the bounds of the histograms, in seconds: from what a busy engine
// can do at best to what a slow pull takes.
var durations = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// NewMeter returns a Meter that has counted nothing yet.
func NewMeter() *Meter {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "scaler_" + name, Help: help}, labels)
	}
	histogram := func(name, help, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scaler_" + name, Help: help, Buckets: durations}, []string{label})
	}
	m := &Meter{
		starts:        counter("runner_starts_total", "Starts of runners that were begun, by pool and reason.", "pool", "reason"),
		stops:         counter("runner_stops_total", "Runners that were taken out of service or have done their work, by pool and reason.", "pool", "reason"),
		failures:      counter("runner_failures_total", "Runners that failed, by pool and by what failed.", "pool", "reason"),
		waits:         histogram("job_wait_seconds", "How long jobs were seen to wait that a runner of the pool has taken.", "pool"),
		steps:         histogram("runner_step_seconds", "How long steps on runners took that ended well, by step.", "step"),
		reaped:        counter("reaped_total", "What had nothing behind it and was cleared away, by kind.", "kind"),
		docker:        counter("docker_requests_total", "Calls to the Docker engine, by operation and outcome.", "operation", "outcome"),
		dockerSeconds: counter("docker_request_seconds_total", "Time that the calls to the Docker engine took, by operation.", "operation"),
		reloads:       counter("config_reloads_total", "Reloads of the configuration file, by outcome; one that is rejected again and again counts once.", "outcome"),
		pools:         make(map[string]bool),
	}
	for _, step := range plan.StepSpans() {
		m.steps.WithLabelValues(string(step))
	}
	for _, kind := range plan.AllRemains() {
		m.reaped.WithLabelValues(string(kind))
	}
	for _, outcome := range []string{ReloadTaken, ReloadUnchanged, ReloadRejected} {
		m.reloads.WithLabelValues(outcome)
	}
	return m
}

// Started counts a start that was begun.
func (m *Meter) Started(pool string, cause plan.Cause) { m.count(m.starts, pool, string(cause)) }

// Stopped counts a runner whose way out was begun, or that has done its work.
func (m *Meter) Stopped(pool string, cause plan.Cause) { m.count(m.stops, pool, string(cause)) }

// Failed counts a runner that failed.
func (m *Meter) Failed(pool string, at plan.Failure) { m.count(m.failures, pool, string(at)) }

// count adds one under the name of a pool, which has series from then on.
func (m *Meter) count(v *prometheus.CounterVec, pool, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pools[pool] = true
	if c, err := v.GetMetricWithLabelValues(pool, reason); err == nil { // else the pool's name can be no label
		c.Inc()
	}
}

// Took notes how long something took.
func (m *Meter) Took(pool string, what plan.Span, took time.Duration) {
	if what != plan.SpanWait {
		m.steps.WithLabelValues(string(what)).Observe(took.Seconds())
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pools[pool] = true
	if h, err := m.waits.GetMetricWithLabelValues(pool); err == nil {
		h.Observe(took.Seconds())
	}
}

// Reaped counts what was cleared away.
func (m *Meter) Reaped(kind plan.Remains, n int) {
	m.reaped.WithLabelValues(string(kind)).Add(float64(n))
}

// Docker counts a call to the Docker engine.
func (m *Meter) Docker(operation, outcome string, took time.Duration) {
	m.docker.WithLabelValues(operation, outcome).Inc()
	m.dockerSeconds.WithLabelValues(operation).Add(took.Seconds())
}

// Reloaded counts a look at the configuration file.
func (m *Meter) Reloaded(outcome string) { m.reloads.WithLabelValues(outcome).Inc() }

// keep gives each of the pools its series, all of them, and takes those of other
// pools away.
func (m *Meter) keep(pools []plan.PoolStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := make(map[string]bool, len(pools))
	for _, p := range pools {
		kept[p.Name] = true
		_, _ = m.waits.GetMetricWithLabelValues(p.Name) // as in count
		begin(m.starts, p.Name, plan.StartCauses())
		begin(m.stops, p.Name, plan.StopCauses())
		begin(m.failures, p.Name, plan.Failures())
	}
	for name := range m.pools {
		if !kept[name] {
			of := prometheus.Labels{"pool": name}
			m.waits.DeletePartialMatch(of)
			m.starts.DeletePartialMatch(of)
			m.stops.DeletePartialMatch(of)
			m.failures.DeletePartialMatch(of)
		}
	}
	m.pools = kept
}

// begin gives a pool a series of each reason.
func begin[T ~string](v *prometheus.CounterVec, pool string, reasons []T) {
	for _, reason := range reasons {
		_, _ = v.GetMetricWithLabelValues(pool, string(reason)) // as in count
	}
}

func (m *Meter) all() gathered {
	return gathered{m.starts, m.stops, m.failures, m.waits, m.steps, m.reaped, m.docker, m.dockerSeconds, m.reloads}
}

// metered shows what a Meter has counted of the pools that there are now.
type metered struct {
	meter  *Meter
	status webStatus
}

// Describe implements prometheus.Collector.
func (m *metered) Describe(ch chan<- *prometheus.Desc) { m.meter.all().Describe(ch) }

// Collect implements prometheus.Collector.
func (m *metered) Collect(ch chan<- prometheus.Metric) {
	if s := m.status.Status(); !s.CycleAt.IsZero() {
		m.meter.keep(s.Pools)
	}
	m.meter.all().Collect(ch)
}
