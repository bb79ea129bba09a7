package main

import (
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
)

func TestScheduleReachesTheFleet(t *testing.T) {
	path, _ := writeConfig(t)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if fleet := fleetConfig(cfg, "abc"); fleet.Spec.Pools[0].Windows != nil {
		t.Error("a pool without a schedule has windows")
	}
	cfg.Pools[0].Schedule = []config.Window{{Duration: time.Hour, Max: new(20)}}
	if fleet := fleetConfig(cfg, "abc"); fleet.Spec.Pools[0].Windows == nil || fleet.Spec.Pools[1].Windows != nil {
		t.Error("the windows are not those of the configuration")
	}
	cfg.Limits.Runners = 0
	if s := summary(cfg); !strings.HasSuffix(s, "at most 35 runners") {
		t.Errorf("the summary is %q; its pools have 15 and in a window 20 at most", s)
	}
}
