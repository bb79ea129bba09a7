package server

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// Calls counts the requests to Gitea by kind and outcome, and by server where there
// are several. It is safe for concurrent use.
type Calls struct {
	gathered
	byServer bool
	total    *prometheus.CounterVec
	seconds  *prometheus.CounterVec
}

// NewCalls returns Calls that have counted nothing yet. byServer is for several
// servers: without it there is no label server.
func NewCalls(byServer bool) *Calls {
	var labels []string
	if byServer {
		labels = []string{"server"}
	}
	c := &Calls{
		byServer: byServer,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scaler_gitea_requests_total", Help: "Requests to Gitea, repetitions included, by kind and outcome.",
		}, append(slices.Clone(labels), "kind", "outcome")),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scaler_gitea_request_seconds_total", Help: "Time that the requests to Gitea took, by kind.",
		}, append(slices.Clone(labels), "kind")),
	}
	c.gathered = gathered{c.total, c.seconds}
	return c
}

// Of returns what counts one request to a server, by its name where there are
// several.
func (c *Calls) Of(server string) func(kind string, err error, took time.Duration) {
	total, seconds := c.total, c.seconds
	if c.byServer {
		of := prometheus.Labels{"server": server}
		total, seconds = total.MustCurryWith(of), seconds.MustCurryWith(of)
	}
	return func(kind string, err error, took time.Duration) {
		total.WithLabelValues(kind, outcome(err)).Inc()
		seconds.WithLabelValues(kind).Add(took.Seconds())
	}
}

// outcome puts errors into few words, whose number bounds that of the metrics.
func outcome(err error) string {
	var answered interface{ HTTPStatus() int }
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, plan.ErrNotFound):
		return "not_found"
	case !errors.As(err, &answered):
		return "no_answer"
	case answered.HTTPStatus() == 404:
		return "not_found"
	case answered.HTTPStatus() == 429:
		return "limited"
	case answered.HTTPStatus() == 401, answered.HTTPStatus() == 403:
		return "denied"
	case answered.HTTPStatus() >= 500:
		return "server_error"
	}
	return "refused"
}
