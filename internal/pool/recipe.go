package pool

import (
	"slices"
	"strings"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// otherRegistration stands for settings that are known to be others than the
// pool's, and of which there is no digest.
const otherRegistration = "other"

// recipeOf is what runners of a pool are made from now.
func (m *Manager) recipeOf(pool string) plan.Recipe {
	r := m.optionsOf(pool).Recipe
	r.Image = m.imageOf(pool)
	return r
}

func (m *Manager) imageOf(pool string) string {
	if m.ports.Images == nil {
		return ""
	}
	return m.ports.Images.Image(pool)
}

// completeRecipe gives a record that has no recipe, as from an earlier version
// or of a container that was adopted, what can be told of it. Its container is
// taken for one of today's, so that later changes show.
func (m *Manager) completeRecipe(rec *state.Record) {
	opts, known := m.cfg.Pools[rec.Pool]
	if !known || rec.Recipe != (plan.Recipe{}) {
		return
	}
	rec.Recipe.Container = opts.Recipe.Container
	if rec.Identity == nil || len(rec.Identity.Labels) == 0 || opts.Recipe.Registration == "" {
		return
	}
	var labels []string
	for _, l := range opts.Labels {
		labels = append(labels, l.String())
	}
	was := slices.Sorted(slices.Values(rec.Identity.Labels))
	rec.Recipe.Registration = otherRegistration
	if rec.Scope == m.scopeOf(rec.Pool) && rec.Ephemeral == opts.Ephemeral && slices.Equal(was, slices.Sorted(slices.Values(labels))) {
		rec.Recipe.Registration = opts.Recipe.Registration
	}
}

// otherLabels are the names of the labels that a runner was registered with, if
// that may be others than its pool's.
func (m *Manager) otherLabels(r *runner) []string {
	if r.rec.Identity == nil || m.optionsOf(r.rec.Pool).Recipe.Registration == r.rec.Recipe.Registration {
		return nil
	}
	names := make([]string, 0, len(r.rec.Identity.Labels))
	for _, l := range r.rec.Identity.Labels {
		name, _, _ := strings.Cut(l, ":")
		names = append(names, name)
	}
	return names
}

// outdated says by name of the runners that are to be replaced why.
func outdated(spec plan.Spec, snap plan.Snapshot) map[string]string {
	pools := make(map[string]*plan.Pool, len(spec.Pools))
	for i := range spec.Pools {
		pools[spec.Pools[i].Name] = &spec.Pools[i]
	}
	why := make(map[string]string)
	for i := range snap.Runners {
		r := &snap.Runners[i]
		if p := pools[r.Pool]; p != nil {
			if text := p.WhyReplaced(r, snap.Now); text != "" {
				why[r.Name] = text
			}
		}
	}
	return why
}
