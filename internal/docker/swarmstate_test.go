package docker

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
)

func TestContainerOfService(t *testing.T) {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	nodes := map[string]node{
		"up":    {name: "alpha"},
		"dry":   {name: "beta", drained: true},
		"down":  {name: "gamma", down: true, downSince: now.Add(-time.Minute)},
		"shaky": {name: "delta", down: true, downSince: now.Add(-59 * time.Second)},
	}
	task := func(state swarm.TaskState, on, err string, code int) swarm.Task {
		k := swarm.Task{Meta: swarm.Meta{CreatedAt: now}, NodeID: on, Status: swarm.TaskStatus{State: state, Err: err}}
		if on != "" {
			k.Status.ContainerStatus = &swarm.ContainerStatus{ContainerID: "c", ExitCode: code}
		}
		return k
	}
	older := func(k swarm.Task) swarm.Task {
		k.CreatedAt = now.Add(-time.Hour)
		return k
	}
	const created, running, exited = plan.ContainerCreated, plan.ContainerRunning, plan.ContainerExited
	for name, test := range map[string]struct {
		stage string // new, started or told
		tasks []swarm.Task
		want  plan.Container
	}{
		"never started":                  {"new", nil, plan.Container{State: created}},
		"task not made yet":              {"started", nil, plan.Container{State: running}},
		"not looked at yet":              {"started", []swarm.Task{task("new", "", "", 0)}, plan.Container{State: running}},
		"no place":                       {"started", []swarm.Task{task("pending", "", "no suitable node (insufficient resources on 1 node)", 0)}, plan.Container{State: running, Reason: "no suitable node (insufficient resources on 1 node)"}},
		"being prepared":                 {"started", []swarm.Task{task("preparing", "up", "", 0)}, plan.Container{State: running}},
		"running":                        {"started", []swarm.Task{task("running", "up", "", 0)}, plan.Container{State: running}},
		"running on a drained node":      {"started", []swarm.Task{task("running", "dry", "", 0)}, plan.Container{State: running, Reason: "its node beta is being drained", Withdrawn: true}},
		"its node is down for a moment":  {"started", []swarm.Task{task("running", "shaky", "", 0)}, plan.Container{State: running}},
		"its node is lost":               {"started", []swarm.Task{task("running", "down", "", 0)}, plan.Container{State: exited, Reason: "its node gamma is lost", Withdrawn: true}},
		"ended on a node that is lost":   {"started", []swarm.Task{task("complete", "down", "", 0)}, plan.Container{State: exited, Ended: true}},
		"on a node that was removed":     {"started", []swarm.Task{task("orphaned", "who", "", 0)}, plan.Container{State: exited, Reason: "its node who is lost", Withdrawn: true}},
		"unknown node":                   {"started", []swarm.Task{task("running", "who", "", 0)}, plan.Container{State: running}},
		"done":                           {"started", []swarm.Task{task("complete", "up", "", 0)}, plan.Container{State: exited, Ended: true}},
		"failed":                         {"started", []swarm.Task{task("failed", "up", "task: non-zero exit (7)", 7)}, plan.Container{State: exited, ExitCode: 7, Ended: true}},
		"never came to run":              {"started", []swarm.Task{task("failed", "up", "starting container failed: no such network", 128)}, plan.Container{State: exited, Reason: "starting container failed: no such network"}},
		"rejected":                       {"started", []swarm.Task{task("rejected", "up", "No such image: x", 0)}, plan.Container{State: exited, Reason: "No such image: x"}},
		"ended by Swarm":                 {"started", []swarm.Task{task("shutdown", "up", "", 0)}, plan.Container{State: exited, Reason: "Swarm has ended it on node alpha", Withdrawn: true, Ended: true}},
		"ended by Swarm on drained node": {"started", []swarm.Task{task("shutdown", "dry", "", 0)}, plan.Container{State: exited, Reason: "its node beta is being drained", Withdrawn: true, Ended: true}},
		"told, still running":            {"told", []swarm.Task{task("running", "up", "", 0)}, plan.Container{State: running}},
		"told and gone":                  {"told", nil, plan.Container{State: exited}},
		"told and shut down":             {"told", []swarm.Task{task("shutdown", "up", "", 0)}, plan.Container{State: exited, Ended: true}},
		"a second task runs":             {"started", []swarm.Task{task("running", "up", "", 0), older(task("shutdown", "dry", "", 0))}, plan.Container{State: running}},
		"the first of two still runs":    {"started", []swarm.Task{task("pending", "", "", 0), older(task("running", "up", "", 0))}, plan.Container{State: running}},
		"the last of two counts":         {"started", []swarm.Task{older(task("failed", "up", "task: non-zero exit (7)", 7)), task("complete", "up", "", 0)}, plan.Container{State: exited, Ended: true}},
	} {
		t.Run(name, func(t *testing.T) {
			v := swarm.Service{ID: "s"}
			v.Spec.Labels = map[string]string{LabelRunner: "r", LabelPool: "p"}
			replicas := uint64(0)
			v.Spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &replicas}
			if test.stage != "new" {
				v.Spec.Labels[labelStarted] = "true"
			}
			if test.stage == "started" {
				replicas = 1
			}
			test.want.ID, test.want.Runner, test.want.Pool = "s", "r", "p"
			if got := containerOf(v, test.tasks, nodes, lostAfter, now); got != test.want {
				t.Errorf("it is  %+v\nwant   %+v", got, test.want)
			}
		})
	}
}
