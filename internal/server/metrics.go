package server

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"scaler.io/scaler/internal/plan"
)

// parallelScrapes bounds the scrapes at once, which need no login.
const parallelScrapes = 4

// metricsHandler answers the metrics of the daemon, the Go runtime and the
// process. Without tokens there is none about them.
func metricsHandler(status webStatus, tokens webTokens, calls *Calls, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(status, tokens),
	)
	if calls != nil {
		registry.MustRegister(calls)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: parallelScrapes,
	})
}

// collector makes metrics of the daemon's status at each scrape.
type collector struct {
	status webStatus
	tokens webTokens // nil without a gateway

	build, problems, cycle, queue       *prometheus.Desc
	poll, events                        *prometheus.Desc
	configGood, configAt                *prometheus.Desc
	runners, waiting, limit             *prometheus.Desc
	breaker, failures, nudges, byStates *prometheus.Desc
	host                                hostMetrics
}

func newCollector(status webStatus, tokens webTokens) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("scaler_"+name, help, labels, nil)
	}
	return &collector{
		status: status, tokens: tokens,
		build:      desc("build_info", "Version of scaler and of Go; always 1.", "version", "goversion"),
		problems:   desc("problems", "Conditions that keep the daemon from its work, as in scaler status."),
		cycle:      desc("cycle_timestamp_seconds", "When the last cycle looked, as Unix time."),
		poll:       desc("poll_interval_seconds", "How long after the last cycle the next one is due, if nothing happens before."),
		events:     desc("events_arrive", "1 while the webhook's events are known to arrive."),
		configGood: desc("config_good", "1 if the configuration file as it is now is good; while it is not, the last good one holds."),
		configAt:   desc("config_timestamp_seconds", "When the configuration that holds was taken over, as Unix time."),
		queue:      desc("queue_jobs", "Queued jobs that the server has, also those that no pool serves."),
		runners:    desc("pool_runners", "Runners of the pool, by state.", "pool", "state"),
		waiting:    desc("pool_waiting_jobs", "Queued jobs that the pool is to serve.", "pool"),
		limit:      desc("pool_max_runners", "Runners that the pool may have at most.", "pool"),
		breaker:    desc("breaker_open", "1 while the pool starts nothing, or one runner at a time, since its runners fail.", "pool"),
		failures:   desc("breaker_failures", "Runners of the pool that failed since the last that worked.", "pool"),
		nudges:     desc("nudges_total", "How often a runner of the pool had to be woken for a job that waited beside it.", "pool"),
		byStates:   desc("tokens", "Registration tokens of the gateway, by state.", "state"),
		host:       newHostMetrics(desc),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(c.host.all(),
		c.build, c.problems, c.cycle, c.poll, c.events, c.configGood, c.configAt, c.queue, c.runners, c.waiting, c.limit, c.breaker, c.failures, c.nudges, c.byStates,
	) {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Before the first cycle is done
// nothing is known of pools and jobs, so nothing is said of them.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- constant(d, prometheus.GaugeValue, value, labels...)
	}
	s := c.status.Status()
	gauge(c.build, 1, s.Version, runtime.Version())
	gauge(c.problems, float64(len(s.Problems)))
	c.collectTokens(gauge)
	if !s.Config.LoadedAt.IsZero() {
		gauge(c.configGood, oneIf(s.Config.Error == ""))
		gauge(c.configAt, float64(s.Config.LoadedAt.UnixMilli())/1000)
	}
	if s.CycleAt.IsZero() {
		return
	}
	gauge(c.cycle, float64(s.CycleAt.UnixMilli())/1000)
	gauge(c.poll, s.PollEvery.Seconds())
	gauge(c.events, oneIf(s.EventsArrive))
	gauge(c.queue, float64(s.QueueSize))
	c.host.collect(s.Host, gauge)
	for _, p := range s.Pools {
		gauge(c.runners, float64(p.Standby), p.Name, "standby")
		gauge(c.runners, float64(p.Starting), p.Name, "starting")
		gauge(c.runners, float64(p.Idle), p.Name, "idle")
		gauge(c.runners, float64(p.Busy), p.Name, "busy")
		gauge(c.runners, float64(p.Leaving), p.Name, "leaving")
		gauge(c.waiting, float64(p.Waiting), p.Name)
		gauge(c.limit, float64(p.Max), p.Name)
		gauge(c.breaker, oneIf(p.BreakerOpen), p.Name)
		gauge(c.failures, float64(p.Failures), p.Name)
		ch <- constant(c.nudges, prometheus.CounterValue, float64(p.Nudges), p.Name)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collectTokens counts the tokens by state, also the states that none has.
func (c *collector) collectTokens(gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	if c.tokens == nil {
		return
	}
	now := time.Now()
	counts := make(map[plan.TokenState]int)
	for _, t := range c.tokens.Tokens() {
		counts[t.State(now)]++
	}
	for _, state := range []plan.TokenState{plan.TokenActive, plan.TokenDisabled, plan.TokenExpired, plan.TokenUsed, plan.TokenRevoked} {
		gauge(c.byStates, float64(counts[state]), string(state))
	}
}

// constant returns a metric of the value. A label that Prometheus does not take
// fails the scrape, not the daemon.
func constant(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}
