package register

import (
	"context"
	"fmt"

	"scaler.io/scaler/internal/plan"
)

// Reuse takes up the identity of a runner that has ended for one that is to be
// made: it declares the labels of the registration under it, which also shows
// that the server still knows it. No registration token is used. The name stays
// the one that the server has. The error wraps plan.ErrNotFound if the server
// does not know the runner any more, or knows it under another id.
func (r *Registrar) Reuse(ctx context.Context, id plan.Identity, reg plan.Registration) (plan.Identity, error) {
	declared := id
	declared.Labels = make([]string, 0, len(reg.Labels))
	labels := make([]string, 0, len(reg.Labels))
	for _, l := range reg.Labels {
		declared.Labels = append(declared.Labels, l.Name) // a server has the names only
		labels = append(labels, l.String())
	}
	found, err := r.server.Verify(ctx, declared, reg.Version)
	switch {
	case err != nil:
		return plan.Identity{}, err
	case found != id.ID:
		return plan.Identity{}, fmt.Errorf("verify runner %s: %w: the server knows it as %d, and not as %d", id.Name, plan.ErrNotFound, found, id.ID)
	}
	id.Labels = labels
	return id, nil
}
