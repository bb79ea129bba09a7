package giteatest

import (
	"fmt"
	"strings"
)

// Profile is a release of Gitea or Forgejo that a Server behaves as. The zero
// value stands for that of DefaultVersion.
type Profile struct {
	name    string
	version string
	rules   rules
}

// String is the profile's name, as ParseProfile takes it: "gitea-1.24".
func (p Profile) String() string { return p.name }

// forgejo reports whether it is a release of Forgejo.
func (p Profile) forgejo() bool { return strings.HasPrefix(p.name, "forgejo-") }

// ListsJobs reports whether the release lists the jobs that wait.
func (p Profile) ListsJobs() bool { return p.rules.jobs || p.rules.queue }

// Version is what the server says of itself.
func (p Profile) Version() string { return p.version }

// defaultMinor is of the release that the zero Profile stands for.
const defaultMinor = 26

// giteaReleases are the releases of Gitea that were read.
var giteaReleases = []struct {
	minor   int
	version string
}{{22, "1.22.3"}, {23, "1.23.8"}, {24, "1.24.6"}, {25, "1.25.5"}, {defaultMinor, "1.26.0"}, {27, "1.27.3"}}

// forgejoReleases are the releases of Forgejo that were read.
var forgejoReleases = []struct {
	major   int
	version string
}{
	{7, "7.0.16+gitea-1.21.11"}, {11, "11.0.15+gitea-1.22.0"}, {14, "14.0.5+gitea-1.22.0"},
	{15, "15.0.3+gitea-1.22.0"}, {16, "16.0.0+gitea-1.22.0"},
}

// Profiles are all that there are.
func Profiles() []Profile {
	var all []Profile
	for _, r := range giteaReleases {
		all = append(all, Profile{fmt.Sprintf("gitea-1.%d", r.minor), r.version, giteaRules(r.minor)})
	}
	for _, r := range forgejoReleases {
		all = append(all, Profile{fmt.Sprintf("forgejo-%d", r.major), r.version, forgejoRules(r.major)})
	}
	return all
}

// ParseProfile finds a profile by its name. The error names those that there
// are.
func ParseProfile(name string) (Profile, error) {
	all := Profiles()
	names := make([]string, len(all))
	for i, p := range all {
		if names[i] = p.name; p.name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("profile %q: must be one of %s", name, strings.Join(names, ", "))
}

// profile is what the options ask for.
func (o Options) profile() Profile {
	p := o.Profile
	if p.name == "" {
		p = Profile{fmt.Sprintf("gitea-1.%d", defaultMinor), DefaultVersion, giteaRules(defaultMinor)}
	}
	if o.Version != "" {
		p.version = o.Version
	}
	r := &p.rules
	r.disable = r.disable && !o.DisablePatch
	r.remove = r.remove && !o.DisableDelete
	r.runners = r.runners && !o.DisableRunners
	r.jobs = r.jobs && !o.DisableJobs
	r.ephemeral = r.ephemeral && !o.DisableEphemeral
	if o.DisableMint {
		r.mintGet, r.mintPost = true, false
	}
	return p
}

// SetProfile makes the server one of another release at once, as an upgrade
// does: jobs, runners, tokens and webhooks stay, and requests that are under
// way are finished. What Options say of the release does not count any more.
func (s *Server) SetProfile(p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profile = p
	s.mux = s.routes()
	s.log.Info("profile changed", "profile", p.name, "version", p.version)
	s.touch()
}

// Profile returns the release that the server behaves as.
func (s *Server) Profile() Profile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.profile
}
