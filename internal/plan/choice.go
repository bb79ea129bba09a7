package plan

import (
	"cmp"
	"slices"
)

// byPreference puts the pools into the order in which a job takes them: by
// priority, then the narrowest scope, then the fewest labels, then the most
// room, then as in the file. A pool that serves a job has all of its labels, so
// the one with the fewest has the fewest to spare, whatever the job asks for.
func byPreference(pools []*pool) {
	for _, p := range pools {
		p.spare = p.room()
	}
	slices.SortStableFunc(pools, func(a, b *pool) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Scope.reach(), b.Scope.reach()),
			cmp.Compare(len(a.Labels), len(b.Labels)), cmp.Compare(b.spare, a.spare))
	})
}

// reach orders scopes by how much they cover.
func (s Scope) reach() int {
	switch s.Kind {
	case ScopeRepo:
		return 0
	case ScopeOrg, ScopeUser:
		return 1
	}
	return 2
}
