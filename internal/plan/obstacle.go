package plan

import (
	"fmt"
	"strconv"
	"time"
)

// ObstacleKind is what keeps a pool from serving a job.
type ObstacleKind string

// The kinds. The first two are between a pool and a job, the others are of a
// pool that has no free runner and starts none.
const (
	ObstacleLabel    ObstacleKind = "label"    // it lacks entries of runs-on
	ObstacleScope    ObstacleKind = "scope"    // its scope does not cover the repository
	ObstaclePaused   ObstacleKind = "paused"   // somebody has paused or drained it
	ObstacleEngine   ObstacleKind = "engine"   // the engine cannot be reached
	ObstacleServer   ObstacleKind = "server"   // the jobs of its scope could not be read
	ObstacleToken    ObstacleKind = "token"    // its registration token is disabled, refused or cannot be read
	ObstacleBreaker  ObstacleKind = "breaker"  // its runners fail, it waits before the next try
	ObstaclePlace    ObstacleKind = "place"    // the engine has no machine with room for its next runner
	ObstacleHost     ObstacleKind = "host"     // the host is short of something
	ObstacleMax      ObstacleKind = "max"      // it has all the runners that it may have
	ObstacleSchedule ObstacleKind = "schedule" // likewise, by the window that holds
	ObstacleRamp     ObstacleKind = "ramp"     // it has started as many lately as it may
	ObstacleBudget   ObstacleKind = "budget"   // all pools together have what they may have
	ObstacleCeiling  ObstacleKind = "ceiling"  // the job's repository or owner has as many runners of it as it may
	ObstaclePeer     ObstacleKind = "peer"     // another daemon is to serve the job
	ObstacleProbe    ObstacleKind = "probe"    // one runner tries, after failures
)

// Obstacle is one thing that keeps a pool from serving a job.
type Obstacle struct {
	Kind   ObstacleKind `json:"kind"`
	Reason string       `json:"reason"`
	// Next says what ends it, as in "once the engine answers"; empty if only
	// another configuration or another job would.
	Next string `json:"next,omitempty"`
	// Until is when it ends, zero if that is not a matter of time.
	Until time.Time `json:"until,omitzero"`
}

// holds lists what keeps a pool from starting anything, whatever it has. What
// has to be over first is at the front.
func (c *computation) holds(p *pool) []Obstacle {
	var list []Obstacle
	if p.Paused != nil {
		list = append(list, p.paused(c.snap.Now))
	}
	if c.snap.Hold != "" {
		list = append(list, Obstacle{Kind: ObstacleEngine, Reason: c.snap.Hold, Next: "once the engine answers"})
	}
	if why, unknown := c.snap.Unknown[p.Scope]; unknown {
		list = append(list, Obstacle{Kind: ObstacleServer, Reason: why, Next: "once the jobs of " + p.Scope.String() + " can be read"})
	}
	if p.Hold != "" {
		list = append(list, p.held())
	}
	if p.NoPlace != "" {
		list = append(list, Obstacle{Kind: ObstaclePlace, Reason: p.NoPlace, Next: "once a machine has room for the runner of pool " + p.Name + " that waits for one"})
	}
	if c.snap.StartHold != "" {
		list = append(list, Obstacle{Kind: ObstacleHost, Reason: c.snap.StartHold, Next: "once the host is less loaded"})
	}
	if why := sizeHold(&c.spec, &c.snap); why != "" {
		list = append(list, Obstacle{Kind: ObstacleBudget, Reason: why, Next: "once Docker says what its machine has"})
	}
	return list
}

// held is what the pool's own hold is.
func (p *pool) held() Obstacle {
	o := Obstacle{Kind: ObstacleToken, Reason: p.Hold, Until: p.RetryAt}
	if !p.RetryAt.IsZero() {
		o.Next = "at " + p.RetryAt.UTC().Format("15:04:05 MST") + ", when pool " + p.Name + " tries again"
	}
	switch {
	case p.HoldKind == ObstacleBreaker:
		o.Kind = ObstacleBreaker
	case o.Next == "":
		o.Next = "once the registration token of pool " + p.Name + " can be used"
	default:
		o.Next += ", or once its registration token is another one"
	}
	return o
}

// obstacles lists what keeps a pool without a free runner from starting one. It
// is empty if nothing does.
func (c *computation) obstacles(p *pool) []Obstacle {
	list := c.holds(p)
	for i := range list {
		switch o := &list[i]; o.Kind {
		case ObstacleHost, ObstacleBudget:
			o.Reason = "nothing new starts: " + o.Reason // the same for all pools, so that it is said once
		case ObstaclePaused:
			o.Reason = "pool " + p.Name + " is " + o.Reason
		default:
			o.Reason = "pool " + p.Name + " is on hold: " + o.Reason
		}
	}
	if p.all >= p.Max {
		list = append(list, c.atMax(p))
	}
	if p.ramp.left <= 0 {
		list = append(list, p.atRamp())
	}
	if c.budget.lacks(p.cost) != none {
		list = append(list, c.budget.obstacle(p))
	}
	if p.Probe && p.boot+p.ending > 0 {
		list = append(list, Obstacle{Kind: ObstacleProbe, Reason: "pool " + p.Name + " starts one runner at a time after failures",
			Next: "once the runner that pool " + p.Name + " tries with is online"})
	}
	return list
}

// atMax is that a pool has as many runners as it may have.
func (c *computation) atMax(p *pool) Obstacle {
	windowed := p.span.window.Max != nil
	o := Obstacle{Kind: ObstacleMax, Reason: "pool " + p.Name + " is at its max of " + strconv.Itoa(p.Max) + c.window(p, windowed)}
	if windowed {
		o.Kind = ObstacleSchedule
	}
	later := p.own.Max
	set(&later, p.span.next.Max)
	surplus := p.all - p.Max + 1 // has to go before one may come
	switch at := p.span.state.Next; {
	case !at.IsZero() && later > p.all:
		o.Next, o.Until = fmt.Sprintf("at %s, when the max of pool %s is %d", moment(at, c.snap.Now), p.Name, later), at
	case p.Max == 0:
	case surplus == 1:
		o.Next = "when " + oneOf(p.all) + " of pool " + p.Name + " is free or gone"
	default:
		o.Next = fmt.Sprintf("when %d of the %d runners of pool %s are gone", surplus, p.all, p.Name)
	}
	return o
}

func oneOf(runners int) string {
	if runners == 1 {
		return "the one runner"
	}
	return "one of the " + strconv.Itoa(runners) + " runners"
}
