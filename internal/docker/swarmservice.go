package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
)

// updateTries is how often a change of a service is tried that another change
// came before: the engine takes one for the version that was read only.
const updateTries = 5

// Create makes a service with the runner's name, without a task. A service of
// that name which carries our instance and the runner's label is success; any
// other is left alone and gives ErrForeign. The launch is as for Engine.Create.
func (s *Swarm) Create(ctx context.Context, pool, runner string, launch *plan.Launch) (id string, err error) {
	what := "create service " + runner
	o, err := s.options(pool)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	image, err := s.pin(ctx, pool, o)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	spec, err := o.with(launch).serviceSpec(identity{s.instance, pool, runner}, image)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	auth, err := registryAuth(o)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	err = s.call(ctx, opServiceCreate, what, func(ctx context.Context) error {
		made, err := s.client.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: auth})
		id = made.ID
		return err
	})
	if errdefs.IsConflict(err) {
		return s.existingService(ctx, runner, err)
	}
	if err != nil {
		return "", err
	}
	s.names.Store(id, runner)
	return id, nil
}

// existingService is existing for services.
func (s *Swarm) existingService(ctx context.Context, runner string, conflict error) (string, error) {
	found, err := s.service(ctx, runner)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return "", conflict // it is being removed
	case errors.Is(err, ErrForeign), err == nil && found.Spec.Labels[LabelRunner] != runner:
		return "", fmt.Errorf("create service %s: the name is taken: %w", runner, ErrForeign)
	case err != nil:
		return "", err
	}
	return found.ID, nil
}

// service returns a service of ours, by id or name, or ErrForeign.
func (s *Swarm) service(ctx context.Context, id string) (swarm.Service, error) {
	what := "inspect service " + id
	var found swarm.Service
	err := s.call(ctx, opServiceInspect, what, func(ctx context.Context) (err error) {
		found, _, err = s.client.ServiceInspectWithRaw(ctx, id, swarm.ServiceInspectOptions{})
		return err
	})
	if err != nil {
		return found, err
	}
	if !s.carriesOurs(found.Spec.Labels) {
		return found, fmt.Errorf("%s: %w", what, ErrForeign)
	}
	if found.Spec.TaskTemplate.ContainerSpec == nil || found.Spec.Mode.Replicated == nil {
		return found, fmt.Errorf("%s: it is not replicated any more: somebody else has changed it", what)
	}
	s.names.Store(found.ID, found.Spec.Labels[LabelRunner])
	return found, nil
}

// ownService returns the id of a service once it is known to be ours. Unlike a
// container's, a service's labels can be changed, but not by accident.
func (s *Swarm) ownService(ctx context.Context, id string) (string, error) {
	if _, known := s.names.Load(id); known {
		return id, nil
	}
	found, err := s.service(ctx, id)
	return found.ID, err
}

// change updates a service that edit has changed. If edit returns false it is
// left as it is.
func (s *Swarm) change(ctx context.Context, id string, edit func(*swarm.Service) (bool, error)) error {
	for try := 1; ; try++ {
		found, err := s.service(ctx, id)
		if err != nil {
			return err
		}
		if wanted, err := edit(&found); err != nil || !wanted {
			return err
		}
		what := "update service " + found.Spec.Name
		err = s.call(ctx, opServiceUpdate, what, func(ctx context.Context) error {
			_, err := s.client.ServiceUpdate(ctx, found.ID, found.Version, found.Spec, swarm.ServiceUpdateOptions{RegistryAuthFrom: swarm.RegistryAuthFromSpec})
			return err
		})
		if try == updateTries || !outOfSequence(err) {
			return err
		}
	}
}

// Start makes secrets and configs of the files, and asks for the service's one
// task. Where it runs, and when, is Swarm's to decide: see List. A service whose
// task was asked for stays as it is.
func (s *Swarm) Start(ctx context.Context, id string, files []plan.File) error {
	found, err := s.service(ctx, id)
	if err != nil {
		return fmt.Errorf("start service: %w", err)
	}
	if found.Spec.Labels[labelStarted] != "" {
		return nil
	}
	secrets, configs, err := s.putSecrets(ctx, found, files)
	if err != nil {
		return fmt.Errorf("start service %s: %w", found.Spec.Name, err)
	}
	return s.change(ctx, found.ID, func(v *swarm.Service) (bool, error) {
		if v.Spec.Labels[labelStarted] != "" {
			return false, nil
		}
		v.Spec.TaskTemplate.ContainerSpec.Secrets, v.Spec.TaskTemplate.ContainerSpec.Configs = secrets, configs
		v.Spec.Labels = maps.Clone(v.Spec.Labels)
		v.Spec.Labels[labelStarted] = "true"
		one := uint64(1)
		v.Spec.Mode.Replicated.Replicas = &one
		return true, nil
	})
}

// Signal has Swarm end the task, whatever the signal is: it sends SIGTERM, and
// SIGKILL at the end of the stop grace, which is the time that a runner has to
// finish its job. On this machine SIGKILL is sent at once. A task that does not
// run, or a service that does not exist, is success.
func (s *Swarm) Signal(ctx context.Context, id, signal string) error {
	if signal == "SIGKILL" {
		if killed, err := s.killHere(ctx, id); killed || err != nil {
			return err
		}
	}
	err := s.change(ctx, id, func(v *swarm.Service) (bool, error) {
		count := v.Spec.Mode.Replicated.Replicas
		if count == nil || *count == 0 {
			return false, nil // it has been told, or was never started
		}
		state, err := s.stateOf(ctx, *v)
		if err != nil || state.State != plan.ContainerRunning {
			return false, err // the end of a task is worth more than its service's change
		}
		none := uint64(0)
		v.Spec.Mode.Replicated.Replicas = &none
		return true, nil
	})
	if errors.Is(err, plan.ErrNotFound) {
		return nil
	}
	return err
}

// killHere kills the container of a service's task if it runs on the engine
// itself.
func (s *Swarm) killHere(ctx context.Context, id string) (killed bool, err error) {
	full, err := s.ownService(ctx, id)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	here, err := s.Engine.List(ctx)
	if err != nil {
		return false, err
	}
	name, _ := s.names.Load(full)
	for _, c := range here {
		if c.Runner == name && c.State == plan.ContainerRunning {
			return true, s.Engine.Signal(ctx, c.ID, "SIGKILL")
		}
	}
	return false, nil
}

// Remove removes the service with its task, secrets and configs. Without force
// one with a task that runs is refused; with force the task is told to stop, and
// has its stop grace for that. A service that does not exist is success.
func (s *Swarm) Remove(ctx context.Context, id string, force bool) error {
	found, err := s.service(ctx, id)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return s.removeFiles(ctx, labelService, id)
	case err != nil:
		return err
	}
	if !force {
		state, err := s.stateOf(ctx, found)
		if err != nil {
			return err
		}
		if state.State == plan.ContainerRunning {
			return fmt.Errorf("remove service %s: its task runs", found.Spec.Name)
		}
	}
	s.expectGone(found.ID, true)
	err = s.call(ctx, opServiceRemove, "remove service "+found.Spec.Name, func(ctx context.Context) error {
		return s.client.ServiceRemove(ctx, found.ID)
	})
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		s.expectGone(found.ID, false)
		return err
	}
	s.names.Delete(found.ID)
	return s.removeFiles(ctx, labelService, found.ID)
}

// outOfSequence reports whether a change came too late, since the service has
// changed in between. The engine says so in words only.
func outOfSequence(err error) bool {
	return err != nil && strings.Contains(err.Error(), "out of sequence")
}

// registryAuth is what the nodes pull the pool's image with.
func registryAuth(o Options) (string, error) {
	if o.Auth == nil {
		return "", nil
	}
	header, err := authHeader(o)
	if err != nil {
		return "", fmt.Errorf("%w: registry credentials: %w", plan.ErrImage, err)
	}
	return header, nil
}
