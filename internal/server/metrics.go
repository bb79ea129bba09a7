package server

import (
	"log/slog"
	"net/http"
	"runtime"
	"slices"
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
func metricsHandler(status webStatus, tokens webTokens, calls *Calls, meter *Meter, told *Deliveries, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(status, tokens),
	)
	if calls != nil {
		registry.MustRegister(calls)
	}
	if meter != nil {
		registry.MustRegister(&metered{meter, status})
	}
	if told != nil {
		registry.MustRegister(told)
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

	build, problems, cycle, due, ready *prometheus.Desc
	queue, poll, events                *prometheus.Desc
	configGood, configAt, byStates     *prometheus.Desc
	pools                              poolMetrics
	jobs                               jobMetrics
	budget                             budgetMetrics
	host                               hostMetrics
	corpses                            *prometheus.Desc
	servers                            serverMetrics
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
		due:        desc("cycle_due_timestamp_seconds", "When the loop is to turn next at the latest, as Unix time."),
		ready:      desc("ready", "1 while the daemon can do all of its work, as on /readyz."),
		poll:       desc("poll_interval_seconds", "How long after the last cycle the next one is due, if nothing happens before."),
		events:     desc("events_arrive", "1 while the webhook's events are known to arrive."),
		configGood: desc("config_good", "1 if the configuration file as it is now is good; while it is not, the last good one holds."),
		configAt:   desc("config_timestamp_seconds", "When the configuration that holds was taken over, as Unix time."),
		queue:      desc("queue_jobs", "Queued jobs that the server has, also those that no pool serves."),
		byStates:   desc("tokens", "Registration tokens of the gateway, by state.", "state"),
		pools:      newPoolMetrics(desc),
		jobs:       newJobMetrics(desc),
		budget:     newBudgetMetrics(desc),
		host:       newHostMetrics(desc),
		corpses:    desc("corpses", "Runners that the server lists, or may list, and cannot be told to delete: spare ones are used again.", "kind"),
		servers:    newServerMetrics(desc),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	own := []*prometheus.Desc{c.build, c.problems, c.cycle, c.due, c.ready, c.poll, c.events, c.configGood, c.configAt, c.queue, c.byStates, c.corpses}
	for _, d := range slices.Concat(own, c.pools.all(), c.jobs.all(), c.budget.all(), c.host.all(), c.servers.all()) {
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
	gauge(c.ready, oneIf(s.Health(time.Now()).Ready))
	if !s.DueAt.IsZero() {
		gauge(c.due, unix(s.DueAt))
	}
	gauge(c.problems, float64(len(s.Problems)))
	c.collectTokens(gauge)
	if !s.Config.LoadedAt.IsZero() {
		gauge(c.configGood, oneIf(s.Config.Error == ""))
		gauge(c.configAt, unix(s.Config.LoadedAt))
	}
	if s.CycleAt.IsZero() {
		return
	}
	gauge(c.cycle, unix(s.CycleAt))
	gauge(c.poll, s.PollEvery.Seconds())
	gauge(c.events, oneIf(s.EventsArrive))
	gauge(c.queue, float64(s.QueueSize))
	spare := 0
	for _, x := range s.Corpses {
		if x.Spare {
			spare++
		}
	}
	gauge(c.corpses, float64(spare), "spare")
	gauge(c.corpses, float64(len(s.Corpses)-spare), "other")
	c.host.collect(s.Host, gauge)
	c.servers.collect(s, gauge)
	c.budget.collect(s.Budgets, gauge)
	c.jobs.collect(s, gauge)
	for _, p := range s.Pools {
		c.pools.collect(p, gauge)
		ch <- constant(c.pools.nudges, prometheus.CounterValue, float64(p.Nudges), p.Name)
	}
}

// unix is a time as metrics have it.
func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// gauges takes the values of gauges.
type gauges func(d *prometheus.Desc, value float64, labels ...string)

// descs makes the description of a metric.
type descs func(name, help string, labels ...string) *prometheus.Desc

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collectTokens counts the tokens by state, also the states that none has.
func (c *collector) collectTokens(gauge gauges) {
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
