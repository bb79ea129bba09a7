package main

import (
	"bytes"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestReadyRunnersAreShown(t *testing.T) {
	var b bytes.Buffer
	writeReady(&b, []plan.PoolStatus{{Name: "fixed", IdleWant: 2}})
	if b.Len() > 0 {
		t.Errorf("without a pool that chooses: %q", b.String())
	}
	writeReady(&b, []plan.PoolStatus{{Name: "fixed", IdleWant: 2}, {Name: "linux", IdleWant: 4, Idle: 3, IdleWhy: "auto, target p95 2s: 38 jobs an hour around now"}})
	want := []string{"READY RUNNERS (1)", "POOL   KEEPS  HAS  WHY", "linux  4      3    auto, target p95 2s: 38 jobs an hour around now"}
	for _, line := range want {
		if !strings.Contains(b.String(), line) {
			t.Errorf("%q is not in\n%s", line, b.String())
		}
	}
}
