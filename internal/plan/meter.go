package plan

import "slices"

// Cause is why a runner is started or taken away, in one word: what the reason
// of an Action says in a sentence. There are few, so that they can be counted.
type Cause string

// The causes of starts.
const (
	CauseJob     Cause = "job"     // a job waits for it
	CauseMin     Cause = "min"     // the pool keeps so many
	CauseIdle    Cause = "idle"    // the pool keeps so many ready
	CauseStandby Cause = "standby" // made ahead, and not started yet
	CauseRestart Cause = "restart" // a persistent runner gets a new container
	CauseAsked   Cause = "asked"   // somebody has asked for one more
)

// The causes of stops.
const (
	CauseDone     Cause = "done"     // an ephemeral runner has had its job
	CauseSurplus  Cause = "surplus"  // nothing needs it any more
	CauseMax      Cause = "max"      // the pool has more than its max
	CauseRenewal  Cause = "renewal"  // it is outdated, or has had all its jobs or its time
	CauseBoot     Cause = "boot"     // it was not online in time
	CauseUnwoken  Cause = "unwoken"  // it leaves a job waiting and cannot be woken
	CauseDeleted  Cause = "deleted"  // the server has it no more
	CauseNoPool   Cause = "no_pool"  // its pool is not configured any more
	CauseShutdown Cause = "shutdown" // the daemon drains to end
	CauseDrained  Cause = "drained"  // somebody has drained it, or its pool
)

// StartCauses lists the causes of starts.
func StartCauses() []Cause {
	return []Cause{CauseJob, CauseMin, CauseIdle, CauseStandby, CauseRestart, CauseAsked}
}

// StopCauses lists the causes of stops.
func StopCauses() []Cause {
	return []Cause{CauseDone, CauseSurplus, CauseMax, CauseRenewal, CauseBoot, CauseUnwoken, CauseDeleted, CauseNoPool, CauseShutdown, CauseDrained}
}

// Failure is at what a runner has failed.
type Failure string

// The failures: the first six keep one from being started, the others are of one
// that was.
const (
	FailedToken    Failure = "token"    // the registration token cannot be used
	FailedRegister Failure = "register" // the server did not register it, for another reason
	FailedImage    Failure = "image"    // its image is missing and could not be pulled
	FailedCreate   Failure = "create"   // the engine did not create its container, for another reason
	FailedStart    Failure = "start"    // the engine did not start its container
	FailedState    Failure = "state"    // its record could not be written, or its files not be made
	FailedBoot     Failure = "boot"     // it never came online
	FailedExit     Failure = "exit"     // it ended by itself without having done its work
)

// Failures lists all failures.
func Failures() []Failure {
	return []Failure{FailedToken, FailedRegister, FailedImage, FailedCreate, FailedStart, FailedState, FailedBoot, FailedExit}
}

// Span is something whose duration is measured.
type Span string

// The spans. Only those that ended well are measured.
const (
	// SpanWait is from when a job was first seen queued to when it was first
	// seen with a runner of the pool.
	SpanWait       Span = "wait"
	SpanRegister   Span = "register"   // a registration at the server, its turn included
	SpanCreate     Span = "create"     // a container made, the pull of its image included
	SpanStart      Span = "start"      // files put into a container, and the container started
	SpanBoot       Span = "boot"       // from the start of a container to its runner's being online
	SpanDrain      Span = "drain"      // from a runner's being taken out of service to its end
	SpanDeregister Span = "deregister" // a runner deleted at the server
)

// StepSpans lists the spans of steps on runners, which is all but SpanWait.
func StepSpans() []Span {
	return []Span{SpanRegister, SpanCreate, SpanStart, SpanBoot, SpanDrain, SpanDeregister}
}

// Remains is what was found without anything behind it and cleared away.
type Remains string

// The kinds of remains.
const (
	RemainsCorpse    Remains = "corpse"    // a runner of ours at the server
	RemainsContainer Remains = "container" // a container of ours that was never started
	RemainsJob       Remains = "job"       // a container, network or volume of a job
)

// AllRemains lists the kinds of remains.
func AllRemains() []Remains { return []Remains{RemainsCorpse, RemainsContainer, RemainsJob} }

// ObstacleKinds lists the kinds of obstacles.
func ObstacleKinds() []ObstacleKind {
	return slices.Concat([]ObstacleKind{ObstacleLabel, ObstacleScope}, HoldKinds(),
		[]ObstacleKind{ObstacleMax, ObstacleSchedule, ObstacleRamp, ObstacleCeiling, ObstaclePeer, ObstacleProbe})
}

// HoldKinds lists the kinds of obstacles that keep a pool from starting
// anything at all.
func HoldKinds() []ObstacleKind {
	return []ObstacleKind{ObstaclePaused, ObstacleEngine, ObstacleServer, ObstacleToken, ObstacleBreaker, ObstaclePlace, ObstacleHost, ObstacleBudget}
}
