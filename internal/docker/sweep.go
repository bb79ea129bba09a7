package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"scaler.io/scaler/internal/plan"
)

// Sweep removes what the jobs of a runner that has ended left behind: its
// labelled containers and, provable by their names, the service containers,
// networks and volumes of those containers and of the containers named in jobs,
// which are names that JobContainers returned earlier and that may be gone by
// now. It returns what it removed as "container NAME", "network NAME" and
// "volume NAME", sorted, also beside an error. What is gone already is success.
//
// A network or volume that something else uses is left, and so is all that
// belongs to a name in jobs which another's container bears by now; both are
// errors. The rest goes on, unless the engine does not answer.
//
// The container of a step that names an image itself ("uses: docker://…") gets
// no label and has no alias. It is known by the network that it shares with the
// job's container, as long as that exists; later it is left, and so are the
// volumes that it uses.
//
// The caller must know that the runner has ended: a job that runs is killed.
func (e *Engine) Sweep(ctx context.Context, runner string, jobs []string) (removed []string, err error) {
	if runner == "" {
		return nil, errors.New("sweep: no runner")
	}
	labelled, err := e.jobContainers(ctx, runner)
	if err != nil {
		return nil, fmt.Errorf("sweep after runner %s: %w", runner, err)
	}
	// Podman does not remove a container while another one, as those of steps
	// do, uses its network.
	slices.SortStableFunc(labelled, func(a, b container.Summary) int {
		return cmp.Compare(networkRank(a), networkRank(b))
	})
	s := &sweep{engine: e, runner: runner}
	s.removeSteps(ctx, labelled)
	jobs = slices.Clone(jobs)
	for _, c := range labelled {
		jobs = append(jobs, summaryName(c))
		s.removeContainer(ctx, c.ID, summaryName(c))
	}
	jobs = slices.DeleteFunc(jobs, func(name string) bool { return !jobName.MatchString(name) })
	slices.Sort(jobs)
	s.removeRelated(ctx, slices.Compact(jobs))
	slices.Sort(s.removed)
	if len(s.faults) > 0 {
		err = fmt.Errorf("sweep after runner %s: %w", runner, errors.Join(s.faults...))
	}
	return s.removed, err
}

// sweep is what one call of Sweep has done so far.
type sweep struct {
	engine  *Engine
	runner  string
	removed []string
	faults  []error
	lost    bool // the engine does not answer, or the context has ended
}

// try makes one call to the engine and reports whether it succeeded. That the
// object is gone is no fault. After a call without an answer none is made.
func (s *sweep) try(ctx context.Context, op operation, what string, fn func(context.Context) error) bool {
	if s.lost {
		return false
	}
	err := s.engine.call(ctx, op, what, fn)
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		s.faults = append(s.faults, err)
		s.lost = errors.Is(err, ErrUnreachable) || ctx.Err() != nil
	}
	return err == nil
}

func (s *sweep) removeContainer(ctx context.Context, id, name string) {
	done := s.try(ctx, opContainerRemove, "remove container "+name, func(ctx context.Context) error {
		err := s.engine.client.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
		if !errdefs.IsConflict(err) {
			return err
		}
		// So it is with a container that has just ended and that the engine
		// removes by itself. It holds its network and volumes until it is gone.
		found, inspectErr := s.engine.client.ContainerInspect(ctx, id)
		switch {
		case errdefs.IsNotFound(inspectErr):
			return nil
		case inspectErr != nil || found.ContainerJSONBase == nil || found.State == nil || found.State.Status != container.StateRemoving:
			return err
		}
		return s.engine.awaitRemoval(ctx, id)
	})
	if done {
		s.removed = append(s.removed, "container "+name)
	}
}

// removeSteps removes the containers that are named as parts of one of the
// jobs, have no label, and use the network of the job's own container: steps
// that name their image themselves.
func (s *sweep) removeSteps(ctx context.Context, labelled []container.Summary) {
	byName := filters.NewArgs()
	owners := make(map[string]bool) // network modes that prove it
	for _, c := range labelled {
		if job := summaryName(c); jobName.MatchString(job) {
			byName.Add("name", relatedPrefix(job))
			owners["container:"+c.ID], owners["container:"+job] = true, true
		}
	}
	if len(owners) == 0 {
		return
	}
	var found []container.Summary
	s.try(ctx, opContainerList, "list steps of jobs", func(ctx context.Context) (err error) {
		found, err = s.engine.client.ContainerList(ctx, container.ListOptions{All: true, Filters: byName})
		return err
	})
	for _, c := range found {
		marked := c.Labels[LabelJobInstance] != "" || c.Labels[LabelJobRunner] != "" || s.engine.carriesOurs(c.Labels)
		if name := summaryName(c); !marked && owners[c.HostConfig.NetworkMode] && jobName.MatchString(name) {
			s.removeContainer(ctx, c.ID, name)
		}
	}
}

// awaitRemoval returns when the container does not exist any more.
func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	done, errs := e.client.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case result := <-done:
		if result.Error != nil {
			return errors.New(result.Error.Message)
		}
		return nil
	case err := <-errs:
		return err
	}
}

// removeRelated removes what belongs to the containers of these names, which
// match jobName and are sorted.
func (s *sweep) removeRelated(ctx context.Context, jobs []string) {
	if len(jobs) == 0 {
		return
	}
	byName := filters.NewArgs()
	for _, job := range jobs {
		byName.Add("name", job)
		byName.Add("name", relatedPrefix(job))
	}
	var found []container.Summary
	if !s.try(ctx, opContainerList, "list containers of jobs", func(ctx context.Context) (err error) {
		found, err = s.engine.client.ContainerList(ctx, container.ListOptions{All: true, Filters: byName})
		return err
	}) {
		return
	}
	if jobs = s.withoutForeign(jobs, found); len(jobs) == 0 {
		return
	}
	for _, c := range found {
		s.removeService(ctx, jobs, c)
	}
	s.removeNetworks(ctx, jobs)
	for _, job := range jobs {
		for _, volume := range []string{job, job + "-env"} {
			if s.try(ctx, opVolumeRemove, "remove volume "+volume, func(ctx context.Context) error {
				return s.engine.client.VolumeRemove(ctx, volume, false)
			}) {
				s.removed = append(s.removed, "volume "+volume)
			}
		}
	}
}

// withoutForeign returns the names that no container bears but one of the
// runner. A task of another server may have the same number, and so the same
// names.
func (s *sweep) withoutForeign(jobs []string, found []container.Summary) []string {
	for _, c := range found {
		i, named := slices.BinarySearch(jobs, summaryName(c))
		if named && !s.engine.carriesJob(c.Labels, s.runner) {
			s.faults = append(s.faults, fmt.Errorf("remove what belongs to container %s: it is not the runner's: %w", jobs[i], ErrForeign))
			jobs = slices.Delete(jobs, i, i+1)
		}
	}
	return jobs
}

// removeService removes the container if it is a service of one of the jobs:
// the runner names it after the job container and its alias in the network.
// One with the label of a job is judged by its label alone.
func (s *sweep) removeService(ctx context.Context, jobs []string, c container.Summary) {
	if c.Labels[LabelJobInstance] != "" || c.Labels[LabelJobRunner] != "" {
		return
	}
	own := summaryName(c)
	var found container.InspectResponse
	// The list has no aliases.
	if !s.try(ctx, opContainerInspect, "inspect container "+own, func(ctx context.Context) (err error) {
		found, err = s.engine.client.ContainerInspect(ctx, c.ID)
		return err
	}) || found.ContainerJSONBase == nil || found.NetworkSettings == nil {
		return
	}
	for _, endpoint := range found.NetworkSettings.Networks {
		if endpoint == nil {
			continue
		}
		for _, alias := range endpoint.Aliases {
			if slices.ContainsFunc(jobs, func(job string) bool { return relatedName(job, alias) == name(found) }) {
				s.removeContainer(ctx, found.ID, name(found))
				return
			}
		}
	}
}

func (s *sweep) removeNetworks(ctx context.Context, jobs []string) {
	byName := filters.NewArgs()
	for _, job := range jobs {
		byName.Add("name", job)
	}
	var found []network.Summary
	s.try(ctx, opNetworkList, "list networks of jobs", func(ctx context.Context) (err error) {
		found, err = s.engine.client.NetworkList(ctx, network.ListOptions{Filters: byName})
		return err
	})
	for _, n := range found {
		if slices.ContainsFunc(jobs, func(job string) bool { return isNetworkOf(job, n.Name) }) {
			s.removeNetwork(ctx, n.ID, n.Name)
		}
	}
}

// removeNetwork removes the network unless a container is attached to it. The
// engine knows running ones as endpoints and all of them by a filter.
func (s *sweep) removeNetwork(ctx context.Context, id, name string) {
	what := "remove network " + name
	var found network.Inspect
	var attached []container.Summary
	byNetwork := filters.NewArgs(filters.Arg("network", id), filters.Arg("network", name))
	if !s.try(ctx, opNetworkInspect, "inspect network "+name, func(ctx context.Context) (err error) {
		if found, err = s.engine.client.NetworkInspect(ctx, id, network.InspectOptions{}); err == nil {
			attached, err = s.engine.client.ContainerList(ctx, container.ListOptions{All: true, Filters: byNetwork})
		}
		return err
	}) {
		return
	}
	var users []string
	for _, endpoint := range found.Containers {
		users = append(users, endpoint.Name)
	}
	for _, c := range attached {
		users = append(users, summaryName(c))
	}
	if len(users) > 0 {
		slices.Sort(users)
		s.faults = append(s.faults, fmt.Errorf("%s: used by %s", what, strings.Join(slices.Compact(users), ", ")))
		return
	}
	if s.try(ctx, opNetworkRemove, what, func(ctx context.Context) error { return s.engine.client.NetworkRemove(ctx, id) }) {
		s.removed = append(s.removed, "network "+name)
	}
}

// networkRank puts containers that use the network of another one first.
func networkRank(c container.Summary) int {
	if container.NetworkMode(c.HostConfig.NetworkMode).IsContainer() {
		return 0
	}
	return 1
}
