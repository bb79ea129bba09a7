package main

import "time"

// orgName is the organisation that has runners of its own.
const orgName = "acme"

// Bounds that the daemon is configured with and that the checks go by.
const (
	maxRunners     = 10
	parallelStarts = 4
)

// pace is how fast everything goes, which depends on the engine.
type pace struct {
	poll        time.Duration // the daemon's poll interval
	settle      time.Duration // its drain.settle
	live        time.Duration // a usual life of a daemon after it is ready
	longLife    time.Duration // a life that gets things done
	longShare   float64       // how many lives are such ones
	restart     time.Duration // the longest pause before the next start
	jobLongest  time.Duration
	lull        time.Duration // the longest pause without jobs
	outage      time.Duration // the longest time that something is away
	faultEvery  time.Duration // mean time between faults
	slowAnswers time.Duration // the longest wait for the answer with a job
	editEvery   time.Duration // the longest pause between two edits of the configuration
	tenure      time.Duration // a life of a daemon that only edits disturb
}

// kind is a kind of jobs, for one or two pools.
type kind struct {
	label string
	repo  string
}

// kinds are the jobs that the pools below can serve.
func kinds() []kind {
	return []kind{{"linux", "demo/app"}, {"warm", "demo/app"}, {"builder", orgName + "/app"}, {"keeper", "demo/lib"}}
}

// keptRunners is how many runners a daemon at rest keeps: the spare one and the
// persistent one.
const keptRunners = 2
