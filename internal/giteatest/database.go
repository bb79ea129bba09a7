package giteatest

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaler.io/scaler/internal/plan"
)

// database is what Gitea keeps in tables. Its methods are called with the
// server's mutex held.
type database struct {
	jobs      []*job // by id
	runners   []*registered
	tokens    []*regToken // oldest first
	apiTokens map[string]APIUser
	// passwords are by lower-case login; madeTokens has the API tokens that were
	// made by the API, by name.
	passwords  map[string]login
	madeTokens map[string]madeToken
	owners     map[string]owner      // by lower-case name
	repos      map[string]repository // by lower-case "owner/name"
	versions   map[string]int64      // tasks version by scope key

	lastJob, lastRun, lastTask, lastRunner, lastOwner, lastRepo int64
}

// owner is a user or an organisation.
type owner struct {
	id   int64
	name string
	org  bool
}

// repository is a repository.
type repository struct {
	id   int64
	name string // "owner/name"
}

// regToken is a registration token.
type regToken struct {
	scope  plan.Scope
	value  string
	active bool
}

// registered is a runner that has registered and not been deleted.
type registered struct {
	id         int64
	uuid       string
	token      string
	name       string
	version    string
	about      string // description, of one that was made by the API
	scope      plan.Scope
	labels     []string
	ephemeral  bool
	disabled   bool
	lastOnline time.Time // last call of any kind; zero until the first
	lastActive time.Time // last UpdateTask or UpdateLog
}

// newDatabase returns an empty database. Jobs, runs and tasks start at ids
// that are far apart, so that mixing them up shows.
func newDatabase() database {
	return database{
		apiTokens: map[string]APIUser{},
		passwords: map[string]login{}, madeTokens: map[string]madeToken{},
		owners:   map[string]owner{},
		repos:    map[string]repository{},
		versions: map[string]int64{},
		lastJob:  1000,
		lastRun:  500,
		lastTask: 2000,
		lastRepo: 100,
	}
}

// addOwner makes the user or organisation unless there is one of that name.
func (d *database) addOwner(name string, org bool) {
	key := strings.ToLower(name)
	if _, ok := d.owners[key]; !ok {
		d.lastOwner++
		d.owners[key] = owner{id: d.lastOwner, name: name, org: org}
	}
}

// addRepo makes the repository "owner/name", and its owner as an organisation
// if there is none of that name.
func (d *database) addRepo(repo string) {
	name, _, _ := strings.Cut(repo, "/")
	d.addOwner(name, true)
	key := strings.ToLower(repo)
	if _, ok := d.repos[key]; !ok {
		d.lastRepo++
		d.repos[key] = repository{d.lastRepo, repo}
	}
}

// addScope makes what a scope names.
func (d *database) addScope(scope plan.Scope) {
	switch scope.Kind {
	case plan.ScopeOrg:
		d.addOwner(scope.Owner, true)
	case plan.ScopeUser:
		d.addOwner(scope.Owner, false)
	case plan.ScopeRepo:
		d.addRepo(scope.Owner + "/" + scope.Repo)
	}
}

// repo returns the repository of that name.
func (d *database) repo(name string) repository { return d.repos[strings.ToLower(name)] }

// ownerOf returns the owner of the repository of that name.
func (d *database) ownerOf(repo string) owner {
	name, _, _ := strings.Cut(repo, "/")
	return d.owners[strings.ToLower(name)]
}

// addToken makes token the only active one of its scope, as Gitea does.
func (d *database) addToken(scope plan.Scope, value string) *regToken {
	d.addScope(scope)
	for _, t := range d.tokens {
		if versionKey(t.scope) == versionKey(scope) {
			t.active = false
		}
	}
	t := &regToken{scope: scope, value: value, active: true}
	d.tokens = append(d.tokens, t)
	return t
}

// latestToken returns the newest token of the scope, which may be inactive,
// or nil.
func (d *database) latestToken(scope plan.Scope) *regToken {
	for _, t := range slices.Backward(d.tokens) {
		if versionKey(t.scope) == versionKey(scope) {
			return t
		}
	}
	return nil
}

// token returns the registration token of that value, or nil.
func (d *database) token(value string) *regToken {
	for _, t := range d.tokens {
		if t.value == value {
			return t
		}
	}
	return nil
}

// job returns the job of that id, or nil.
func (d *database) job(id int64) *job {
	i, ok := slices.BinarySearchFunc(d.jobs, id, func(j *job, id int64) int { return cmp.Compare(j.id, id) })
	if !ok {
		return nil
	}
	return d.jobs[i]
}

// task returns the job whose task has that id, or nil. A job has one task at
// most: nothing here is ever run again.
func (d *database) task(id int64) *job {
	for _, j := range d.jobs {
		if j.task == id && id != 0 {
			return j
		}
	}
	return nil
}

// addRunner makes a runner with an identity of its own.
func (d *database) addRunner(name string, scope plan.Scope) *registered {
	d.lastRunner++
	r := &registered{id: d.lastRunner, uuid: uuid.NewString(), token: randomToken(40), name: ellipsis(name), scope: scope}
	d.runners = append(d.runners, r)
	return r
}

// runner returns the runner of that id, or nil.
func (d *database) runner(id int64) *registered {
	for _, r := range d.runners {
		if r.id == id {
			return r
		}
	}
	return nil
}

// runnerByUUID returns the runner of that UUID, or nil.
func (d *database) runnerByUUID(uuid string) *registered {
	for _, r := range d.runners {
		if r.uuid == uuid {
			return r
		}
	}
	return nil
}

// removeRunner deletes the runner. Its job keeps its id, as in Gitea.
func (d *database) removeRunner(r *registered) {
	d.runners = slices.DeleteFunc(d.runners, func(other *registered) bool { return other == r })
}

// versionKey names a scope as the table of tasks versions does: by the ids of
// owner and repository, so that a user's and an organisation's scope of the
// same name are one.
func versionKey(scope plan.Scope) string {
	switch scope.Kind {
	case plan.ScopeOrg, plan.ScopeUser:
		return strings.ToLower(scope.Owner)
	case plan.ScopeRepo:
		return strings.ToLower(scope.Owner + "/" + scope.Repo)
	}
	return ""
}

// bump makes every runner in the given scope, and every runner of the
// instance, look for work at its next call (Gitea's IncreaseTaskVersion).
func (d *database) bump(scopes ...plan.Scope) {
	d.versions[""]++
	for _, scope := range scopes {
		if key := versionKey(scope); key != "" {
			d.versions[key]++
		}
	}
}

// randomToken returns n random hexadecimal characters.
func randomToken(n int) string {
	b := make([]byte, (n+1)/2)
	rand.Read(b) // never fails, see its documentation
	return hex.EncodeToString(b)[:n]
}
