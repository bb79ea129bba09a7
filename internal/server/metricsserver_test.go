package server

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"scaler.io/scaler/internal/plan"
)

// ofServers are the metrics of a daemon for two servers, of which one does not work
// and has a limit of its own beside that of all.
func ofServers() *prometheus.Registry {
	s := plan.Merge([]plan.Part{{Server: "acme", Status: plan.Status(busyStatus())}, {Server: "lab", Status: plan.Status{CycleAt: busyStatus().CycleAt}}})
	s.Budgets = []plan.Budget{{Resource: "runners", Taken: 14, Limit: 20}, {Resource: "runners", Server: "lab", Limit: 3}}
	s.Servers[0].Working = false
	calls, registry := NewCalls(true), prometheus.NewRegistry()
	calls.Of("acme")("runners", nil, 0)
	calls.Of("lab")("runners", nil, 0)
	registry.MustRegister(newCollector(fakeStatus(s), nil), calls)
	return registry
}

func TestMetricsOfSeveralServers(t *testing.T) {
	got := make(map[string]float64)
	families, err := ofServers().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"scaler_server_working acme": 0, "scaler_server_working lab": 1, "scaler_budget_limit_runners": 20, "scaler_queue_jobs": 41,
		"scaler_gitea_requests_total runners ok acme": 1, "scaler_gitea_requests_total runners ok lab": 1, "scaler_server_info gitea acme 1.25.5": 1,
	} {
		if value, found := got[key]; !found || value != want {
			t.Errorf("%s is %v (%v), want %v", key, value, found, want)
		}
	}
}
