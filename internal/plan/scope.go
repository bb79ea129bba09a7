package plan

import (
	"fmt"
	"strings"
)

// ScopeKind says at which level of Gitea a runner is registered.
type ScopeKind string

// The four levels that have registration tokens of their own.
const (
	ScopeInstance ScopeKind = "instance"
	ScopeOrg      ScopeKind = "org"
	ScopeUser     ScopeKind = "user"
	ScopeRepo     ScopeKind = "repo"
)

// Scope is where a registration token belongs and whose jobs its runners
// take. It is comparable and can be a map key.
type Scope struct {
	Kind  ScopeKind
	Owner string // organisation, user, or the repository's owner
	Repo  string // repository name, for ScopeRepo only
}

// ParseScope reads "instance", "org:NAME", "user:NAME" or "repo:OWNER/NAME".
func ParseScope(s string) (Scope, error) {
	kind, rest, hasRest := strings.Cut(s, ":")
	switch ScopeKind(kind) {
	case ScopeInstance:
		if hasRest {
			return Scope{}, fmt.Errorf("scope %q: instance takes no name; write instance", s)
		}
		return Scope{Kind: ScopeInstance}, nil
	case ScopeOrg, ScopeUser:
		if !validName(rest) {
			return Scope{}, fmt.Errorf("scope %q: write %s:NAME", s, kind)
		}
		return Scope{Kind: ScopeKind(kind), Owner: rest}, nil
	case ScopeRepo:
		owner, repo, _ := strings.Cut(rest, "/")
		if !validName(owner) || !validName(repo) {
			return Scope{}, fmt.Errorf("scope %q: write repo:OWNER/NAME", s)
		}
		return Scope{Kind: ScopeRepo, Owner: owner, Repo: repo}, nil
	}
	return Scope{}, fmt.Errorf("scope %q: must be instance, org:NAME, user:NAME or repo:OWNER/NAME", s)
}

// validName holds a name to the characters that Gitea allows in user,
// organisation and repository names.
func validName(s string) bool {
	if s == "" || s == "." || s == ".." {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r) {
			return false
		}
	}
	return true
}

// String returns the form that ParseScope reads.
func (s Scope) String() string {
	switch s.Kind {
	case ScopeOrg, ScopeUser:
		return string(s.Kind) + ":" + s.Owner
	case ScopeRepo:
		return "repo:" + s.Owner + "/" + s.Repo
	}
	return string(s.Kind)
}

// Covers reports whether a runner of this scope may take jobs of the
// repository "owner/name". Gitea's names are case-insensitive.
func (s Scope) Covers(repo string) bool {
	owner, name, _ := strings.Cut(repo, "/")
	switch s.Kind {
	case ScopeInstance:
		return true
	case ScopeOrg, ScopeUser:
		return strings.EqualFold(s.Owner, owner)
	case ScopeRepo:
		return strings.EqualFold(s.Owner, owner) && strings.EqualFold(s.Repo, name)
	}
	return false
}

// Label is a runner label, "name[:schema[:args]]" as in the runner's own
// configuration. The server knows only the name; the rest tells the runner
// how to run the job.
type Label struct {
	Name   string
	Schema string // host, docker or another that the runner knows; may be empty
	Args   string // for docker: "//image"
}

// ParseLabel reads "name", "name:host" or "name:docker://image".
func ParseLabel(s string) (Label, error) {
	name, rest, hasSchema := strings.Cut(s, ":")
	schema, args, hasArgs := strings.Cut(rest, ":")
	switch {
	case name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, ",\t\n"):
		return Label{}, fmt.Errorf("label %q: the name before the first colon must be non-empty and without commas or surrounding spaces", s)
	case hasSchema && schema != "host" && schema != "docker":
		return Label{}, fmt.Errorf("label %q: the schema %q must be host or docker, as in ubuntu-latest:docker://IMAGE or linux:host", s, schema)
	case schema == "host" && hasArgs:
		return Label{}, fmt.Errorf("label %q: the schema host takes nothing after it; write %s:host", s, name)
	case schema == "docker" && strings.TrimPrefix(args, "//") == "":
		return Label{}, fmt.Errorf("label %q: the schema docker needs an image; write %s:docker://IMAGE", s, name)
	}
	return Label{Name: name, Schema: schema, Args: args}, nil
}

// String returns the full form that belongs into .runner.
func (l Label) String() string {
	switch {
	case l.Schema == "":
		return l.Name
	case l.Args == "":
		return l.Name + ":" + l.Schema
	}
	return l.Name + ":" + l.Schema + ":" + l.Args
}

// MarshalText implements encoding.TextMarshaler by String.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler by ParseScope.
func (s *Scope) UnmarshalText(text []byte) error {
	parsed, err := ParseScope(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
