package docker

import (
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
)

// exitText is what Swarm says of a task that ended by itself and not with 0.
const exitText = "task: non-zero exit"

// containerOf puts a service and its tasks into the terms of one container. It
// runs as long as any task might: what is not known to have ended is not taken
// for ended. A node that has been down since long enough counts as lost with
// all that ran on it.
func containerOf(v swarm.Service, tasks []swarm.Task, nodes map[string]node, lost time.Duration, now time.Time) plan.Container {
	c := plan.Container{ID: v.ID, Runner: v.Spec.Labels[LabelRunner], Pool: v.Spec.Labels[LabelPool], State: plan.ContainerRunning}
	if v.Spec.Labels[labelStarted] == "" {
		c.State = plan.ContainerCreated
		return c
	}
	var last *swarm.Task
	for i := range tasks {
		t := &tasks[i]
		if !terminal(t.Status.State) && !lostWith(t, nodes, lost, now) {
			c.Reason = waiting(t)
			if nodes[t.NodeID].drained {
				c.Reason, c.Withdrawn = drained(t, nodes), true
			}
			return c
		}
		if last == nil || t.CreatedAt.After(last.CreatedAt) {
			last = t
		}
	}
	count := v.Spec.Mode.Replicated.Replicas
	told := count == nil || *count == 0
	switch {
	case last == nil && !told:
		return c // its task is about to be made
	case last == nil:
		c.State = plan.ContainerExited // Swarm forgets a task that was told to stop
		return c
	}
	c.State = plan.ContainerExited
	describeEnd(&c, last, nodes, told)
	return c
}

// terminal reports whether a task in this state can never run again. One that was
// never known to have ended (orphaned) is on a node that was given up by Swarm.
func terminal(s swarm.TaskState) bool {
	switch s {
	case swarm.TaskStateComplete, swarm.TaskStateShutdown, swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateRemove, swarm.TaskStateOrphaned:
		return true
	}
	return false
}

// lostWith reports whether a task was on a node that is down since long enough.
func lostWith(t *swarm.Task, nodes map[string]node, lost time.Duration, now time.Time) bool {
	n, known := nodes[t.NodeID]
	return t.NodeID != "" && known && n.down && now.Sub(n.downSince) >= lost
}

// waiting says what keeps a task from a node, empty if nothing does.
func waiting(t *swarm.Task) string {
	switch t.Status.State {
	case swarm.TaskStateNew, swarm.TaskStateAllocated, swarm.TaskStatePending:
		return t.Status.Err
	}
	return ""
}

// describeEnd says how a task has ended: by its program, by Swarm, or without
// ever having run.
func describeEnd(c *plan.Container, t *swarm.Task, nodes map[string]node, told bool) {
	program := t.Status.ContainerStatus
	switch {
	case !terminal(t.Status.State) || t.Status.State == swarm.TaskStateOrphaned:
		c.Reason, c.Withdrawn = "its node "+nodeName(t, nodes)+" is lost", true
	case t.Status.State == swarm.TaskStateShutdown && !told:
		c.Reason, c.Withdrawn = "Swarm has ended it on node "+nodeName(t, nodes), true
		if nodes[t.NodeID].drained {
			c.Reason = drained(t, nodes)
		}
		c.Ended = true
		if program != nil {
			c.ExitCode = program.ExitCode
		}
	case t.Status.State == swarm.TaskStateRejected, t.Status.State == swarm.TaskStateFailed && !strings.HasPrefix(t.Status.Err, exitText), program == nil:
		c.Reason = t.Status.Err
		if c.Reason == "" {
			c.Reason = t.Status.Message
		}
	default:
		c.ExitCode, c.Ended = program.ExitCode, true
	}
}

func nodeName(t *swarm.Task, nodes map[string]node) string {
	if name := nodes[t.NodeID].name; name != "" {
		return name
	}
	return t.NodeID
}

func drained(t *swarm.Task, nodes map[string]node) string {
	return "its node " + nodeName(t, nodes) + " is being drained"
}
