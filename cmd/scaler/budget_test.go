package main

import (
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
)

// What the file says of limits and shares is what the fleet goes by.
func TestFleetHasTheLimitsOfTheFile(t *testing.T) {
	cfg := &config.Config{
		Limits: config.Limits{Runners: 9, CPUs: 7.5, Memory: 8 << 30, Reserve: config.Reserve{CPUs: 0.25, Memory: 1 << 30}},
		Pools:  []config.Pool{{Name: "linux", Priority: -2, Weight: 3, MaxPerRepo: 4, MaxPerOwner: 5, Container: config.Container{CPUs: 1.5, Memory: 2 << 30}}},
	}
	spec := fleetConfig(cfg, "abc").Spec
	if spec.MaxRunners != 9 || spec.Most != (plan.Resources{MilliCPU: 7500, Memory: 8 << 30}) || spec.Reserve != (plan.Resources{MilliCPU: 250, Memory: 1 << 30}) {
		t.Errorf("limits %+v", spec)
	}
	if p := spec.Pools[0]; p.Priority != -2 || p.Weight != 3 || p.MaxPerRepo != 4 || p.MaxPerOwner != 5 || p.Cost != (plan.Resources{MilliCPU: 1500, Memory: 2 << 30}) {
		t.Errorf("pool %+v", p)
	}
}
