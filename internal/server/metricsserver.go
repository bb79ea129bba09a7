package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// serverMetrics describes what is said of what the servers can do.
type serverMetrics struct{ info, capability, working *prometheus.Desc }

func newServerMetrics(desc descs) serverMetrics {
	return serverMetrics{
		info:       desc("server_info", "Product and version of the server; always 1.", "server", "product", "version"),
		capability: desc("server_capability", "1 if the server has the capability, as scaler doctor explains it.", "server", "capability"),
		working:    desc("server_working", "1 while the jobs of the server can be read and its records be written; only where there are several.", "server"),
	}
}

func (m serverMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{m.info, m.capability, m.working}
}

// collect says what is known. Before a server has answered that is nothing.
func (m serverMetrics) collect(s plan.Status, gauge gauges) {
	for _, q := range s.Servers {
		gauge(m.working, oneIf(q.Working), q.Name)
	}
	for _, k := range s.KnownServers() {
		gauge(m.info, 1, k.Name, string(k.Product), k.Version)
		for _, f := range plan.Features() {
			gauge(m.capability, oneIf(k.Has(f.Capability)), k.Name, string(f.Capability))
		}
	}
}
