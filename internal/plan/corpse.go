package plan

import (
	"cmp"
	"slices"
	"time"
)

// Corpse is a runner that a server has, or may have, with nothing of ours behind
// it, and that it cannot be told to delete (Gitea < 1.24, Forgejo < 15). It is
// kept in the state under Identity.Name, which is the server's name of it.
type Corpse struct {
	// Identity is all that is known of it. Without an id only its name is: the
	// answer to its registration was lost, so that it may not exist.
	Identity Identity
	Scope    Scope
	Since    time.Time
	Why      string
	// Spare is set if another runner may be given the identity: its own token
	// is known, and whoever had it has surely ended.
	Spare bool
}

// CorpseStatus is what may be shown of a Corpse.
type CorpseStatus struct {
	Name   string    `json:"name"`
	Server string    `json:"server,omitempty"` // where there are several
	ID     int64     `json:"id,omitempty"`     // the server's
	Scope  string    `json:"scope"`
	Spare  bool      `json:"spare"`
	Since  time.Time `json:"since"`
	Why    string    `json:"why"`
	// URL is the server's page on which an administrator can delete it.
	URL string `json:"url,omitempty"`
}

// Status returns what may be shown of it, without a page.
func (c Corpse) Status() CorpseStatus {
	return CorpseStatus{Name: c.Identity.Name, ID: c.Identity.ID, Scope: c.Scope.String(), Spare: c.Spare, Since: c.Since, Why: c.Why}
}

// SortCorpses puts those that have been that for longest first.
func SortCorpses(list []Corpse) {
	slices.SortFunc(list, func(a, b Corpse) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Identity.Name, b.Identity.Name))
	})
}

// ForgetCorpses says which corpses are not to be kept in mind any more, since
// somebody has deleted them at the server.
type ForgetCorpses struct {
	Names []string `json:"names,omitempty"`
	All   bool     `json:"all,omitempty"`
}
