package main

import (
	"context"
	"math/rand/v2"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// killsPerWorld is from how many kills or edits on another world is worth its while,
// and mostWorlds how many a small machine can turn at once.
const (
	killsPerWorld    = 100
	mostWorlds       = 4
	mostDockerWorlds = 2
)

// defaultWorlds is how many worlds there are if nobody says.
func (o options) defaultWorlds() int {
	most := mostWorlds
	switch o.engine {
	case engineDocker:
		most = mostDockerWorlds
	case engineSwarm:
		most = 1
	}
	return min(1+max(o.kills, o.edits+o.badEdits)/killsPerWorld, most)
}

// giteaKind is the server of a world: a current one, one that is older than
// PATCH of a runner, so that idle runners are stopped without being disabled
// first, and one in which a runner can deregister itself.
func giteaKind(world int) (kind giteatest.Options, name string) {
	switch world % 3 {
	case 1:
		return giteatest.Options{DisablePatch: true}, "Gitea before 1.26"
	case 2:
		return giteatest.Options{Deregister: true}, "Gitea with the call Deregister"
	}
	return giteatest.Options{}, "Gitea 1.26"
}

// pace is how fast everything goes with the engine.
func (o options) pace() pace {
	if o.engine == engineMemory {
		return pace{
			poll: 100 * time.Millisecond, settle: 600 * time.Millisecond,
			live: 120 * time.Millisecond, longLife: 2 * time.Second, longShare: 0.1, restart: 300 * time.Millisecond,
			jobLongest: 1500 * time.Millisecond, lull: 4 * time.Second,
			outage: 400 * time.Millisecond, faultEvery: 700 * time.Millisecond, slowAnswers: 400 * time.Millisecond,
			editEvery: 300 * time.Millisecond, tenure: 10 * time.Second,
		}
	}
	return pace{
		poll: 300 * time.Millisecond, settle: 2 * time.Second,
		live: 1200 * time.Millisecond, longLife: 6 * time.Second, longShare: 0.15, restart: 300 * time.Millisecond,
		jobLongest: 4 * time.Second, lull: 8 * time.Second,
		outage: 1200 * time.Millisecond, faultEvery: 4 * time.Second, slowAnswers: time.Second,
		editEvery: time.Second, tenure: 30 * time.Second,
	}
}

// newEngine makes the engine of a run.
func (o options) newEngine(ctx context.Context, dir, id string, random *rand.Rand, note func(string)) (engine, error) {
	switch o.engine {
	case engineMemory:
		return newFakeEngine(dir, random)
	case engineSwarm:
		return newSwarmEngine(ctx, dir, id, o.scaler)
	}
	return newDockerEngine(ctx, dir, id, o.scaler, note)
}
