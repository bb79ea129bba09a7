package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	engine "scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/realgitea"
)

// jobContainers returns the names of the containers that runners of ours made
// for jobs.
func jobContainers(ctx context.Context) ([]string, error) {
	out, err := docker(ctx, "ps", "-a", "--filter", "label="+engine.LabelJobRunner, "--format", "{{.Names}}")
	return strings.Fields(out), err
}

// belongings returns the networks and volumes that are named after a container.
func belongings(ctx context.Context, name string) ([]string, error) {
	networks, err := docker(ctx, "network", "ls", "--filter", "name="+name, "--format", "{{.Name}}")
	if err != nil {
		return nil, err
	}
	volumes, err := docker(ctx, "volume", "ls", "--filter", "name="+name, "--format", "{{.Name}}")
	return append(strings.Fields(networks), strings.Fields(volumes)...), err
}

// toolCache is a volume that the runner makes once for all jobs of the host.
const toolCache = "act-toolcache"

// checkLeftovers kills a runner while its job is in a container of its own on
// the host's engine, as with a docker:// label. The runner cleans nothing up.
func checkLeftovers(t *testing.T, r *rig) {
	if _, err := docker(t.Context(), "volume", "inspect", toolCache); err != nil {
		t.Cleanup(func() { _, _ = docker(context.WithoutCancel(t.Context()), "volume", "rm", "-f", toolCache) })
	}
	d := r.daemon(t, settings{Pools: []pool{{Name: "boxed", Label: "boxed", Max: 1, DockerSocket: true}}})
	repo := r.repo(t, realgitea.Admin, "boxed", 1, "sleep 30s")
	r.gitea.Dispatch(t, repo, workflowFile)
	var job string
	eventually(t, time.Minute, "the job has a container with our label, a network and two volumes", func(ctx context.Context) bool {
		names, err := jobContainers(ctx)
		if err != nil || len(names) != 1 {
			return false
		}
		job = names[0]
		there, err := belongings(ctx, job)
		return err == nil && len(there) >= 3
	})
	t.Cleanup(func() { // also if the check fails
		ctx := context.WithoutCancel(t.Context())
		_, _ = docker(ctx, "rm", "-f", "-v", job)
		if left, err := belongings(ctx, job); err == nil && len(left) > 0 {
			t.Logf("left: %v", left)
			_, _ = docker(ctx, append([]string{"volume", "rm", "-f"}, left...)...)
			_, _ = docker(ctx, append([]string{"network", "rm"}, left...)...)
		}
	})
	if _, err := docker(t.Context(), "kill", d.status(t).Runners[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the job's container, network and volumes are gone", func(ctx context.Context) bool {
		names, err := jobContainers(ctx)
		if err != nil || len(names) > 0 {
			return false
		}
		there, err := belongings(ctx, job)
		return err == nil && len(there) == 0
	})
	r.nothingLeft(t, goneWithin)
}
