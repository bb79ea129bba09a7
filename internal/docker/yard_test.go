package docker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// yard is where things are left behind. All that it makes has its tag in the
// name, which is also the id of its instance.
type yard struct {
	*rig
	e   *Engine
	tag string
}

// job returns the name of a job container.
func (y *yard) job(task string) string {
	return relatedName("GITEA-ACTIONS-TASK-"+task, "WORKFLOW-"+y.tag+" / a-JOB-build")
}

func (y *yard) labels(runner string) map[string]string {
	return map[string]string{LabelJobInstance: y.tag, LabelJobRunner: runner}
}

func (y *yard) volume(t *testing.T, name string) {
	t.Helper()
	if _, err := y.e.client.VolumeCreate(t.Context(), volume.CreateOptions{Name: name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = y.e.client.VolumeRemove(context.WithoutCancel(t.Context()), name, true) })
}

func (y *yard) network(t *testing.T, name string) {
	t.Helper()
	made, err := y.e.client.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = y.e.client.NetworkRemove(context.WithoutCancel(t.Context()), made.ID) })
}

// spec is what a container of the yard is made from.
type spec struct {
	tag        string // of the image, plain if empty
	labels     map[string]string
	volumes    []string // mounted by name
	network    string
	aliases    []string
	stopped    bool // made, but not started
	autoRemove bool
	command    []string
}

func (y *yard) container(t *testing.T, name string, s spec) string {
	t.Helper()
	if s.tag == "" {
		s.tag = "plain"
	}
	host := &container.HostConfig{NetworkMode: container.NetworkMode(s.network), AutoRemove: s.autoRemove}
	for _, v := range s.volumes {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: v, Target: "/mnt/" + v})
	}
	networks := &network.NetworkingConfig{}
	if s.aliases != nil {
		networks.EndpointsConfig = map[string]*network.EndpointSettings{s.network: {Aliases: s.aliases}}
	}
	made, err := y.e.client.ContainerCreate(t.Context(), &container.Config{Image: y.image(s.tag), Labels: s.labels, Cmd: s.command}, host, networks, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = y.e.client.ContainerRemove(context.WithoutCancel(t.Context()), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if !s.stopped {
		if err := y.e.client.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return made.ID
}

// leave makes what a killed runner leaves of a job: its container, network,
// volumes and a service, and returns the job container's name.
func (y *yard) leave(t *testing.T, task string, labels map[string]string) string {
	t.Helper()
	job := y.job(task)
	y.volume(t, job)
	y.volume(t, job+"-env")
	y.network(t, job+"-build-network")
	y.container(t, relatedName(job, "db"), spec{network: job + "-build-network", aliases: []string{"db"}})
	y.container(t, job, spec{labels: labels, volumes: []string{job, job + "-env"}, network: job + "-build-network", aliases: []string{"build"}})
	return job
}

// left is what leave makes, as Sweep names it.
func left(job string) []string {
	return []string{
		"container " + job, "container " + relatedName(job, "db"),
		"network " + job + "-build-network", "volume " + job, "volume " + job + "-env",
	}
}

// all returns what exists with the yard's tag in its name and, of containers,
// whether it runs.
func (y *yard) all(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	containers, err := y.e.client.ContainerList(t.Context(), container.ListOptions{All: true})
	for _, c := range containers {
		all["container "+summaryName(c)] = c.State
	}
	networks, networkErr := y.e.client.NetworkList(t.Context(), network.ListOptions{})
	for _, n := range networks {
		all["network "+n.Name] = ""
	}
	volumes, volumeErr := y.e.client.VolumeList(t.Context(), volume.ListOptions{})
	if err := errors.Join(err, networkErr, volumeErr); err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		all["volume "+v.Name] = ""
	}
	maps.DeleteFunc(all, func(name, _ string) bool { return !strings.Contains(name, y.tag) })
	return all
}

// sweep calls Sweep and checks that exactly this is gone, and reported.
func (y *yard) sweep(t *testing.T, runner string, jobs []string, want ...string) error {
	t.Helper()
	rest := y.all(t)
	removed, err := y.e.Sweep(t.Context(), runner, jobs)
	slices.Sort(want)
	if !slices.Equal(removed, want) {
		t.Errorf("removed\n\t%s\nwant\n\t%s", strings.Join(removed, "\n\t"), strings.Join(want, "\n\t"))
	}
	for _, name := range want {
		if _, was := rest[name]; !was {
			t.Errorf("%s was not there before", name)
		}
		delete(rest, name)
	}
	if now := y.all(t); !maps.Equal(now, rest) {
		t.Errorf("left are\n\t%v\nwant\n\t%v", now, rest)
	}
	return err
}
