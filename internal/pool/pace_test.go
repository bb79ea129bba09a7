package pool

import (
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestPace(t *testing.T) {
	const active, usual, quiet = 250 * time.Millisecond, time.Second, 5 * time.Second
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// hear tells of jobs by event and by poll, a second apart.
	hear := func(p *pace, polls, events bool, jobs int) {
		for i := range jobs {
			at := start.Add(time.Duration(i) * time.Second)
			if events {
				p.announced(int64(i+1), at)
			}
			if polls {
				p.found(int64(i+1), at.Add(100*time.Millisecond))
			}
		}
	}
	tests := map[string]struct {
		before func(p *pace)
		at     time.Duration // since start
		want   time.Duration
	}{
		"at the start":                               {func(*pace) {}, 0, usual},
		"just after something":                       {func(p *pace) { p.happens(start) }, 7 * time.Second, active},
		"some time after":                            {func(p *pace) { p.happens(start) }, 15 * time.Second, 500 * time.Millisecond},
		"half a minute after":                        {func(p *pace) { p.happens(start) }, 30 * time.Second, usual},
		"long after, without events":                 {func(p *pace) { hear(p, true, false, 5) }, time.Hour, usual},
		"long after, with events":                    {func(p *pace) { hear(p, true, true, 5) }, time.Hour, quiet},
		"not that long after":                        {func(p *pace) { hear(p, true, true, 5) }, quietAfter, usual},
		"after too few events":                       {func(p *pace) { hear(p, true, true, eventsTrusted-1) }, time.Hour, usual},
		"events of jobs that no poll has seen":       {func(p *pace) { hear(p, false, true, 5) }, time.Hour, usual},
		"an event that came after the poll":          {func(p *pace) { hear(p, true, false, 5); hear(p, false, true, 5) }, time.Hour, quiet},
		"one job that no event named, long ago":      {func(p *pace) { hear(p, true, true, 5); p.found(99, start) }, time.Hour, usual},
		"one job that no event has named yet":        {func(p *pace) { hear(p, true, true, 5); p.found(99, start.Add(time.Hour-eventDelay)) }, time.Hour, 300 * time.Millisecond},
		"events that come again after one was lost":  {func(p *pace) { p.found(99, start.Add(-time.Hour)); p.arrive(start); hear(p, true, true, 5) }, time.Hour, quiet},
		"an event without a job is something":        {func(p *pace) { p.announced(0, start) }, time.Second, active},
		"a clock that was set back changes no usual": {func(p *pace) { p.happens(start.Add(time.Hour)) }, 0, active},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPace(Pace{Polls: plan.Polls{Active: active, Usual: usual}, Quiet: quiet})
			tt.before(p)
			if got := p.interval(start.Add(tt.at)); got != tt.want {
				t.Errorf("interval %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPaceKeepsItsOrder(t *testing.T) {
	p := newPace(Pace{Polls: plan.Polls{Active: time.Minute, Usual: time.Second}, Quiet: time.Millisecond})
	if p.Active != time.Second || p.Quiet != time.Second {
		t.Errorf("active %s, quiet %s; want neither beyond the usual", p.Active, p.Quiet)
	}
	if p := newPace(Pace{Polls: plan.Polls{Usual: time.Second}}); p.Active != time.Second {
		t.Errorf("without one, active is %s", p.Active)
	}
	for range 1000 {
		if d := p.jittered(time.Now()); d > time.Second || d < 900*time.Millisecond {
			t.Fatalf("jittered %s", d)
		}
	}
}

func TestPaceForgets(t *testing.T) {
	p := newPace(Pace{Polls: plan.Polls{Usual: time.Second}})
	now := time.Now()
	for i := range int64(10_000) {
		p.announced(i, now)
		p.found(-i, now)
	}
	p.arrive(now.Add(time.Minute))
	if len(p.told)+len(p.awaited) != 0 {
		t.Errorf("%d and %d jobs are remembered", len(p.told), len(p.awaited))
	}
}
