package config

import (
	"time"

	"scaler.io/scaler/internal/plan"
)

// Ramp limits how quickly a pool grows.
type Ramp struct {
	Starts int           `yaml:"starts" required:"true" min:"1" example:"5" doc:"How many runners are started at most, for jobs, min and idle together."`
	Per    time.Duration `yaml:"per" required:"true" min:"1s" max:"24h" example:"1m" doc:"Within any stretch of this length."`
}

// Pace puts the pool's ramp and cool_down into the planner's terms.
func (p Pool) Pace() plan.Pace {
	pace := plan.Pace{CoolDown: p.CoolDown}
	if p.Ramp != nil {
		pace.Starts, pace.Per = p.Ramp.Starts, p.Ramp.Per
	}
	return pace
}
