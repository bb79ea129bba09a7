package register

import (
	"context"
	"errors"
	"fmt"

	"scaler.io/scaler/internal/plan"
)

// Deregister deletes the runner at the server: by the Deregister call where
// the server has it, in which the runner proves itself by its own token, else
// by the REST API at its scope. It reports whether the runner was still
// there; one that is gone already is success. The error wraps
// plan.ErrUnsupported where the server can do neither.
func (r *Registrar) Deregister(ctx context.Context, scope plan.Scope, id plan.Identity) (existed bool, err error) {
	if id.Token == "" { // it was lost with the state
		return r.deleteByID(ctx, scope, id)
	}
	err = r.server.Deregister(ctx, id)
	if errors.Is(err, plan.ErrUnsupported) {
		return r.deleteByID(ctx, scope, id)
	}
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// deleteByID deletes by the REST API, which asks for no proof. A server that
// was restored from a backup gives ids out again, so the id alone is none:
// the name has to be the one that we gave.
func (r *Registrar) deleteByID(ctx context.Context, scope plan.Scope, id plan.Identity) (existed bool, err error) {
	if err := r.canDelete(ctx); err != nil {
		return false, fmt.Errorf("deregister runner %s: %w", id.Name, err)
	}
	found, err := r.server.Runner(ctx, scope, id.ID)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("find runner %s to deregister it: %w", id.Name, err)
	case found.Name != id.Name:
		return false, nil // ours is gone, and the id is another's now
	}
	err = r.server.DeleteRunner(ctx, scope, id.ID)
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		return false, fmt.Errorf("deregister runner %s: %w", id.Name, err)
	}
	return err == nil, nil
}

// canDelete returns an error that wraps plan.ErrUnsupported if the server has no
// API that deletes runners.
func (r *Registrar) canDelete(ctx context.Context) error {
	caps, err := r.server.Capabilities(ctx)
	if err == nil && !caps.Delete {
		err = fmt.Errorf("delete runners of %s: %w", caps.ServerName(), plan.ErrUnsupported)
	}
	return err
}

// Forget deletes every runner of the scope that has exactly this name, for a
// registration whose answer never arrived. The name carries the instance id
// and was made for one registration, so nobody else has it. A list that may
// be incomplete is an error, since it does not prove that there is none. The
// error wraps plan.ErrUnsupported where the server cannot delete runners.
func (r *Registrar) Forget(ctx context.Context, scope plan.Scope, name string) (deleted int, err error) {
	if err := r.canDelete(ctx); err != nil {
		return 0, fmt.Errorf("look for runner %s: %w", name, err)
	}
	list, err := r.server.Runners(ctx, scope)
	if err != nil {
		return 0, fmt.Errorf("look for runner %s: %w", name, err)
	}
	for _, found := range list.Runners {
		if found.Name != name {
			continue
		}
		if err := r.server.DeleteRunner(ctx, scope, found.ID); err != nil && !errors.Is(err, plan.ErrNotFound) {
			return deleted, fmt.Errorf("deregister runner %s (id %d): %w", name, found.ID, err)
		}
		deleted++
	}
	if !list.Complete {
		return deleted, fmt.Errorf("look for runner %s: the list changed while it was read", name)
	}
	return deleted, nil
}
