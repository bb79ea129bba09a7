package gateway

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// registry is what the store has, in memory. A change is on disk before it is
// seen, and what could not be stored is not seen.
type registry struct {
	store store

	mu sync.Mutex // has who changes anything, while it is stored

	seen       sync.RWMutex                 // has who reads without mu, and who writes
	tokens     map[string]state.TokenRecord // by ID
	byHash     map[hash]string              // IDs
	enrolments map[string]state.EnrolmentRecord
}

func newRegistry(s store) *registry {
	return &registry{store: s, tokens: make(map[string]state.TokenRecord), byHash: make(map[hash]string),
		enrolments: make(map[string]state.EnrolmentRecord)}
}

// key is what an enrolment is found by. Some databases do not tell upper case
// from lower case when they look for a UUID.
func key(uuid string) string { return strings.ToLower(strings.TrimSpace(uuid)) }

func (r *registry) load() error {
	tokens, err := r.store.Tokens()
	if err != nil {
		return err
	}
	enrolments, err := r.store.Enrolments()
	if err != nil {
		return err
	}
	r.see(state.TokenChanges{PutTokens: tokens, PutEnrolments: enrolments})
	return nil
}

// commit stores changes, then lets them be seen. The caller has the lock.
func (r *registry) commit(c state.TokenChanges) error {
	if err := r.store.Commit(c); err != nil {
		return err
	}
	r.see(c)
	return nil
}

func (r *registry) see(c state.TokenChanges) {
	r.seen.Lock()
	defer r.seen.Unlock()
	for _, id := range c.DeleteTokens {
		delete(r.byHash, r.tokens[id].Hash)
		delete(r.tokens, id)
	}
	for _, uuid := range c.DeleteEnrolments {
		delete(r.enrolments, key(uuid))
	}
	for _, t := range c.PutTokens {
		if old, known := r.tokens[t.ID]; known {
			delete(r.byHash, old.Hash)
		}
		r.tokens[t.ID] = t
		r.byHash[t.Hash] = t.ID
	}
	for _, e := range c.PutEnrolments {
		r.enrolments[key(e.UUID)] = e
	}
}

// find returns the token that a secret's hash belongs to.
func (r *registry) find(h hash) (state.TokenRecord, bool) {
	r.seen.RLock()
	defer r.seen.RUnlock()
	t, known := r.tokens[r.byHash[h]]
	if !known || subtle.ConstantTimeCompare(t.Hash[:], h[:]) != 1 {
		return state.TokenRecord{}, false
	}
	t.Token = t.Clone()
	return t, true
}

// named returns the token of that name, without those of our own pools.
func (r *registry) named(name string) (state.TokenRecord, error) {
	r.seen.RLock()
	defer r.seen.RUnlock()
	for _, t := range r.tokens {
		if t.Name == name && t.Runner == "" {
			return t, nil
		}
	}
	return state.TokenRecord{}, fmt.Errorf("registration token %q: %w", clip(name), plan.ErrNotFound)
}

// boundTo returns the IDs of the tokens that are bound to a runner. The caller
// has the lock.
func (r *registry) boundTo(runner string) []string {
	var ids []string
	for id, t := range r.tokens {
		if t.Runner == runner {
			ids = append(ids, id)
		}
	}
	return ids
}

// enrolment returns a runner by its UUID.
func (r *registry) enrolment(uuid string) (state.EnrolmentRecord, bool) {
	r.seen.RLock()
	defer r.seen.RUnlock()
	e, known := r.enrolments[key(uuid)]
	return e, known
}

// all returns the enrolments for which want is true, in the order of their
// registration.
func (r *registry) all(want func(plan.Enrolment) bool) []plan.Enrolment {
	r.seen.RLock()
	defer r.seen.RUnlock()
	var out []plan.Enrolment
	for _, e := range r.enrolments {
		if want(e.Enrolment) {
			e.Labels, e.Allowed = slices.Clone(e.Labels), slices.Clone(e.Allowed)
			out = append(out, e.Enrolment)
		}
	}
	slices.SortFunc(out, func(a, b plan.Enrolment) int {
		return cmp.Or(a.RegisteredAt.Compare(b.RegisteredAt), cmp.Compare(a.RunnerID, b.RunnerID))
	})
	return out
}

// amend changes runners, each as it is at this moment, in one commit with the
// audit entries. For each, change reports whether it is to be stored. Runners
// that are not known, or gone, are left out.
func (r *registry) amend(uuids []string, change func(*plan.Enrolment) bool, audit ...plan.AuditEntry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var c state.TokenChanges
	for _, uuid := range uuids {
		e, known := r.enrolments[key(uuid)]
		if known && e.GoneAt.IsZero() && change(&e.Enrolment) {
			c.PutEnrolments = append(c.PutEnrolments, e)
		}
	}
	if len(c.PutEnrolments) == 0 {
		return nil
	}
	c.Audit = audit
	return r.commit(c)
}

// stayed notes that a runner which was to leave gets jobs again.
func (r *registry) stayed(uuid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.enrolments[key(uuid)]
	switch {
	case !known || !unsettled(e.Enrolment):
		return nil
	case e.Token == "":
		return r.commit(state.TokenChanges{DeleteEnrolments: []string{e.UUID}})
	}
	e.DisabledAt = time.Time{}
	return r.commit(state.TokenChanges{PutEnrolments: []state.EnrolmentRecord{e}})
}

// unsettled reports whether a runner was to leave, is not any more, and still
// has to be enabled or forgotten.
func unsettled(e plan.Enrolment) bool {
	return e.GoneAt.IsZero() && e.Leaving == "" && (!e.DisabledAt.IsZero() || e.Token == "")
}

// note stores audit entries alone. Nothing waits for it but its caller.
func (r *registry) note(entries ...plan.AuditEntry) error {
	return r.store.Commit(state.TokenChanges{Audit: entries})
}
