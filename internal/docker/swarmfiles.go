package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
)

// putSecrets makes a secret of each file that only its owner may read, and a
// config of each other one. They are named after the runner, and carry the id of
// the service, so that they are found if the service has gone.
func (s *Swarm) putSecrets(ctx context.Context, of swarm.Service, files []plan.File) ([]*swarm.SecretReference, []*swarm.ConfigReference, error) {
	user, err := s.fileOwner(ctx, of.Spec.TaskTemplate.ContainerSpec)
	if err != nil {
		return nil, nil, err
	}
	labels := map[string]string{LabelInstance: s.instance, LabelPool: of.Spec.Labels[LabelPool], LabelRunner: of.Spec.Labels[LabelRunner], labelService: of.ID}
	var secrets []*swarm.SecretReference
	var configs []*swarm.ConfigReference
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			return nil, nil, fmt.Errorf("put file %q: the path must be absolute and clean", f.Path)
		}
		uid, gid, mode := strconv.Itoa(user.uid), strconv.Itoa(user.gid), os.FileMode(f.Mode)
		if f.Mode&0o077 == 0 {
			name := numbered(of.Spec.Name, len(secrets))
			id, err := s.putSecret(ctx, swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: labels}, Data: f.Data})
			if err != nil {
				return nil, nil, err
			}
			secrets = append(secrets, &swarm.SecretReference{SecretID: id, SecretName: name, File: &swarm.SecretReferenceFileTarget{Name: f.Path, UID: uid, GID: gid, Mode: mode}})
			continue
		}
		name := numbered(of.Spec.Name, len(configs))
		id, err := s.putConfig(ctx, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: name, Labels: labels}, Data: f.Data})
		if err != nil {
			return nil, nil, err
		}
		configs = append(configs, &swarm.ConfigReference{ConfigID: id, ConfigName: name, File: &swarm.ConfigReferenceFileTarget{Name: f.Path, UID: uid, GID: gid, Mode: mode}})
	}
	return secrets, configs, nil
}

// numbered returns the name of the n-th file, from 0, of a runner.
func numbered(runner string, n int) string {
	if n == 0 {
		return runner
	}
	return runner + "-" + strconv.Itoa(n+1)
}

// putSecret makes a secret in place of one of that name that an interrupted
// start has left.
func (s *Swarm) putSecret(ctx context.Context, spec swarm.SecretSpec) (id string, err error) {
	make := func(ctx context.Context) error {
		made, err := s.client.SecretCreate(ctx, spec)
		id = made.ID
		return err
	}
	what := "create secret " + spec.Name
	if err = s.call(ctx, opSecretCreate, what, make); errdefs.IsConflict(err) {
		if err := s.removeFiles(ctx, labelService, spec.Labels[labelService]); err != nil {
			return "", err
		}
		err = s.call(ctx, opSecretCreate, what, make)
	}
	return id, err
}

// putConfig is putSecret for a config.
func (s *Swarm) putConfig(ctx context.Context, spec swarm.ConfigSpec) (id string, err error) {
	make := func(ctx context.Context) error {
		made, err := s.client.ConfigCreate(ctx, spec)
		id = made.ID
		return err
	}
	what := "create config " + spec.Name
	if err = s.call(ctx, opConfigCreate, what, make); errdefs.IsConflict(err) {
		if err := s.removeFiles(ctx, labelService, spec.Labels[labelService]); err != nil {
			return "", err
		}
		err = s.call(ctx, opConfigCreate, what, make)
	}
	return id, err
}

// fileOwner returns the numeric user that the container runs as. Without one in
// the pool's options it is the image's, as far as this engine has the image and
// it names a number; the accounts of an image on another node are not known.
func (s *Swarm) fileOwner(ctx context.Context, c *swarm.ContainerSpec) (owner, error) {
	user := c.User
	if user == "" {
		err := s.call(ctx, opImageInspect, "inspect image "+c.Image, func(ctx context.Context) error {
			found, err := s.client.ImageInspect(ctx, c.Image)
			if err == nil && found.Config != nil {
				user = found.Config.User
			}
			return err
		})
		if err != nil && !errors.Is(err, plan.ErrNotFound) {
			return owner{}, err
		}
	}
	if o, ok := numericOwner(user); ok {
		return o, nil
	}
	if uid, err := strconv.Atoi(user); err == nil {
		return owner{uid: uid}, nil
	}
	return owner{}, fmt.Errorf("the image runs as user %q: set container.user to its numbers, UID:GID", user)
}

// remains are the secrets and configs of ours, by name, each with its labels.
type remains struct {
	secrets, configs map[string]map[string]string // by id
}

// files lists the secrets and configs that carry our instance and the label,
// with any value if it is empty.
func (s *Swarm) files(ctx context.Context, label, value string) (remains, error) {
	r := remains{secrets: map[string]map[string]string{}, configs: map[string]map[string]string{}}
	selected := label
	if value != "" {
		selected += "=" + value
	}
	by := filters.NewArgs(filters.Arg("label", LabelInstance+"="+s.instance), filters.Arg("label", selected))
	ours := func(labels map[string]string) bool {
		return s.carriesOurs(labels) && labels[labelService] != "" && (value == "" || labels[label] == value)
	}
	err := s.call(ctx, opSecretList, "list secrets", func(ctx context.Context) error {
		found, err := s.client.SecretList(ctx, swarm.SecretListOptions{Filters: by})
		for _, f := range found {
			if ours(f.Spec.Labels) {
				r.secrets[f.ID] = f.Spec.Labels
			}
		}
		return err
	})
	if err != nil {
		return r, err
	}
	err = s.call(ctx, opConfigList, "list configs", func(ctx context.Context) error {
		found, err := s.client.ConfigList(ctx, swarm.ConfigListOptions{Filters: by})
		for _, f := range found {
			if ours(f.Spec.Labels) {
				r.configs[f.ID] = f.Spec.Labels
			}
		}
		return err
	})
	return r, err
}

// removeFiles removes the secrets and configs of ours with the label. Swarm
// refuses those that a service still uses.
func (s *Swarm) removeFiles(ctx context.Context, label, value string) error {
	found, err := s.files(ctx, label, value)
	if err != nil {
		return err
	}
	_, err = s.removeAll(ctx, found)
	return err
}

// removeAll removes secrets and configs, and says which.
func (s *Swarm) removeAll(ctx context.Context, r remains) (removed []string, err error) {
	var faults []error
	gone := func(kind, runner string, err error) {
		switch {
		case err == nil:
			removed = append(removed, kind+" of "+runner)
		case !errors.Is(err, plan.ErrNotFound):
			faults = append(faults, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.secrets)) {
		runner := r.secrets[id][LabelRunner]
		gone("secret", runner, s.call(ctx, opSecretRemove, "remove secret of "+runner, func(ctx context.Context) error { return s.client.SecretRemove(ctx, id) }))
	}
	for _, id := range slices.Sorted(maps.Keys(r.configs)) {
		runner := r.configs[id][LabelRunner]
		gone("config", runner, s.call(ctx, opConfigRemove, "remove config of "+runner, func(ctx context.Context) error { return s.client.ConfigRemove(ctx, id) }))
	}
	return removed, errors.Join(faults...)
}

// JobContainers is that of the engine for the jobs on this very machine, and
// names the secrets and configs that a daemon which died has left without their
// service.
func (s *Swarm) JobContainers(ctx context.Context) (map[string][]string, error) {
	byRunner, err := s.Engine.JobContainers(ctx)
	if err != nil {
		return nil, err
	}
	left, err := s.abandoned(ctx, "")
	if err != nil {
		return nil, err
	}
	for kind, found := range map[string]map[string]map[string]string{"secret": left.secrets, "config": left.configs} {
		for _, labels := range found {
			runner := labels[LabelRunner]
			byRunner[runner] = append(byRunner[runner], kind+" of "+runner)
		}
	}
	for _, names := range byRunner {
		slices.Sort(names)
	}
	return byRunner, nil
}

// Sweep is that of the engine for the jobs on this very machine, and removes
// the secrets and configs of the runner that have no service any more.
func (s *Swarm) Sweep(ctx context.Context, runner string, jobs []string) ([]string, error) {
	removed, err := s.Engine.Sweep(ctx, runner, jobs)
	left, leftErr := s.abandoned(ctx, runner)
	if leftErr != nil {
		return removed, errors.Join(err, leftErr)
	}
	more, moreErr := s.removeAll(ctx, left)
	return append(removed, more...), errors.Join(err, moreErr)
}

// abandoned returns the secrets and configs whose service is gone: of one
// runner, or of all if it is empty. They are listed before the services, so
// that those of a service that is just being started are not among them.
func (s *Swarm) abandoned(ctx context.Context, runner string) (remains, error) {
	found, err := s.files(ctx, LabelRunner, runner)
	if err != nil || len(found.secrets)+len(found.configs) == 0 {
		return found, err
	}
	services, err := s.services(ctx)
	if err != nil {
		return remains{}, err
	}
	there := func(_ string, labels map[string]string) bool {
		return slices.ContainsFunc(services, func(v swarm.Service) bool { return v.ID == labels[labelService] })
	}
	maps.DeleteFunc(found.secrets, there)
	maps.DeleteFunc(found.configs, there)
	return found, nil
}
