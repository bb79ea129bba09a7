package config

import (
	"fmt"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"

	"scaler.io/scaler/internal/plan"
)

// Idle is a number of ready runners, or that the pool chooses it by itself.
type Idle struct {
	Count int // 0 with Auto
	Auto  bool
}

// String returns it as it stands in the file.
func (i Idle) String() string {
	if i.Auto {
		return autoIdle
	}
	return strconv.Itoa(i.Count)
}

const autoIdle = "auto"

func (k key) parseIdle(n *yaml.Node) (any, error) {
	switch {
	case n.ShortTag() == "!!str" && n.Value == autoIdle:
		return Idle{Auto: true}, nil
	case n.ShortTag() == "!!str":
		return nil, fmt.Errorf("expected a number, without quotes, or auto, found the text %q", n.Value)
	}
	v, err := k.parseInt(n)
	if err != nil {
		return nil, err
	}
	return Idle{Count: int(v.(int64))}, nil
}

// TargetWait says how long jobs may wait where idle is auto. Exactly one of the
// percentiles is set.
type TargetWait struct {
	P50 *time.Duration `yaml:"p50" min:"0s" max:"1h" example:"2s" doc:"Half of the jobs wait no longer."`
	P90 *time.Duration `yaml:"p90" min:"0s" max:"1h" example:"2s" doc:"Nine of ten jobs wait no longer."`
	P95 *time.Duration `yaml:"p95" min:"0s" max:"1h" example:"2s" doc:"19 of 20 jobs wait no longer."`
	P99 *time.Duration `yaml:"p99" min:"0s" max:"1h" example:"2s" doc:"99 of 100 jobs wait no longer."`
}

// defaultTarget holds for a pool that says idle: auto and no more.
const defaultTarget, defaultWait = 95, 2 * time.Second

// target is the one percentile that is set; n says how many are.
func (t TargetWait) target() (percentile int, wait time.Duration, n int) {
	for _, p := range []struct {
		percentile int
		wait       *time.Duration
	}{{50, t.P50}, {90, t.P90}, {95, t.P95}, {99, t.P99}} {
		if p.wait != nil {
			percentile, wait = p.percentile, *p.wait
			n++
		}
	}
	return percentile, wait, n
}

// IsAuto reports whether the pool ever chooses by itself how many runners are
// ready.
func (p Pool) IsAuto() bool {
	for _, w := range p.Schedule {
		if w.Idle != nil && w.Idle.Auto {
			return true
		}
	}
	return p.Idle.Auto
}

// Auto is what a pool goes by where its idle, or that of a window, is auto.
func (p Pool) Auto() *plan.Auto {
	a := &plan.Auto{Percentile: defaultTarget, Wait: defaultWait, Most: p.MostRunners()}
	if p.TargetWait != nil {
		a.Percentile, a.Wait, _ = p.TargetWait.target()
	}
	if p.IdleMax != nil {
		a.Most = *p.IdleMax
	}
	return a
}

// validateAuto checks what idle: auto goes by.
func validateAuto(d *decoder, p Pool, path string) {
	target, most := path+".target_wait", path+".idle_max"
	if p.TargetWait != nil && d.ok(target) && d.okBelow(target) {
		if _, _, n := p.TargetWait.target(); n != 1 {
			d.report(target, "expected exactly one of p50, p90, p95 and p99, as in {p95: 2s}")
		}
	}
	if p.IdleMax != nil && d.ok(most, path+".max") && d.okBelow(path+".schedule") && *p.IdleMax > p.MostRunners() {
		d.report(most, "idle_max %d is more than max %d: lower idle_max or raise max", *p.IdleMax, p.MostRunners())
	}
	if p.IsAuto() || !d.ok(path+".idle", path+".schedule") || !d.okBelow(path+".schedule") {
		return
	}
	const useless = "it is of use with idle: auto only: set that, or remove it"
	if p.TargetWait != nil && d.ok(target) {
		d.report(target, useless)
	}
	if p.IdleMax != nil && d.ok(most) {
		d.report(most, useless)
	}
}
