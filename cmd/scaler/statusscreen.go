package main

import (
	"bytes"
	"context"
	"time"

	"scaler.io/scaler/internal/plan"
)

// statusScreen is the status on a terminal.
type statusScreen struct {
	source statusSource
	status plan.Status
	view   int
}

// The views of a status.
var statusViews = []string{"all", "pools", "runners", "queue", "problems"}

func (s *statusScreen) fetch(ctx context.Context) (take func(), err error) {
	status, err := s.source.Status(ctx)
	return func() { s.status = status }, err
}

func (s *statusScreen) views() []string { return statusViews }

func (s *statusScreen) choose(view int) { s.view = view }

func (s *statusScreen) chosen() int { return s.view }

func (s *statusScreen) draw(b *bytes.Buffer, now time.Time, width int) {
	writeHead(b, s.status, now)
	sections := map[string]func(){
		"problems": func() {
			writeProblems(b, s.status, now, width)
			writeHost(b, s.status.Host)
			writeServerLoops(b, s.status, now)
			writeBudgets(b, s.status.Budgets)
			writePeers(b, s.status.Peers, now)
		},
		"pools": func() {
			writePools(b, s.status.Pools, width)
			writePauses(b, s.status)
			writeSchedules(b, s.status.Pools, now)
			writeReady(b, s.status.Pools)
		},
		"runners": func() {
			section(b, "RUNNERS (%d)", len(s.status.Runners))
			writeRunners(b, s.status.Runners, now, width)
			writeOutdated(b, s.status.Runners)
		},
		"queue": func() {
			writeQueue(b, s.status.Queue, max(s.status.QueueSize, len(s.status.Queue)), now, width)
		},
	}
	chosen := statusViews[s.view]
	for _, name := range []string{"problems", "pools", "runners", "queue"} {
		if chosen == name || chosen == "all" {
			sections[name]()
		}
	}
}
