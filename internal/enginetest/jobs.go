package enginetest

import (
	"context"
	"slices"
)

// AddJobContainer has a runner make a container for a job, which has a volume
// of the same name.
func (e *Engine) AddJobContainer(runner, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs[runner] = append(e.jobs[runner], name)
	e.volumes[name] = true
}

// EndJobContainer removes a job's container, and leaves its volume.
func (e *Engine) EndJobContainer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for runner, names := range e.jobs {
		if e.jobs[runner] = slices.DeleteFunc(names, func(n string) bool { return n == name }); len(e.jobs[runner]) == 0 {
			delete(e.jobs, runner)
		}
	}
}

// Volumes returns how many volumes of jobs there are.
func (e *Engine) Volumes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.volumes)
}

// JobContainers implements pool.Sweeper.
func (e *Engine) JobContainers(ctx context.Context) (map[string][]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "JobContainers"); err != nil {
		return nil, err
	}
	made := make(map[string][]string)
	for runner, names := range e.jobs {
		made[runner] = slices.Clone(names)
	}
	return made, nil
}

// Sweep implements pool.Sweeper.
func (e *Engine) Sweep(ctx context.Context, runner string, jobs []string) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Sweep"); err != nil {
		return nil, err
	}
	var removed []string
	for _, name := range e.jobs[runner] {
		removed = append(removed, "container "+name)
	}
	jobs = slices.Concat(jobs, e.jobs[runner])
	delete(e.jobs, runner)
	for _, name := range jobs {
		if e.volumes[name] {
			delete(e.volumes, name)
			removed = append(removed, "volume "+name)
		}
	}
	return removed, nil
}
