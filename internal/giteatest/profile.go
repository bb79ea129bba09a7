package giteatest

import (
	"fmt"
	"slices"
	"strings"
)

// Profile is a release that a Server behaves as. The zero value stands for
// that of DefaultVersion.
type Profile struct {
	name    string
	version string
	rules   rules
}

// String is the profile's name, as ParseProfile takes it: "gitea-1.24".
func (p Profile) String() string { return p.name }

// Version is what the server says of itself.
func (p Profile) Version() string { return p.version }

// rules are in what the releases differ, as far as runners and their jobs are
// concerned. Each was read in the sources of the releases.
type rules struct {
	// The REST API of administrators.
	runners  bool // runners are listed, read and deleted (Gitea 1.24)
	remove   bool // they are deleted (Gitea 1.24)
	disable  bool // they are disabled (Gitea 1.26)
	jobs     bool // jobs are listed and read (Gitea 1.25)
	tasks    bool // a repository's tasks are listed: jobs that were picked (Gitea 1.23)
	mintGet  bool // registration tokens come by GET (Gitea up to 1.25)
	mintPost bool // registration tokens come by POST (Gitea 1.24)

	// What is in the answers.
	jobPages   bool // lists of jobs have Link and X-Total-Count (Gitea 1.26)
	jobsByID   bool // lists of jobs are in the order of their ids (Gitea 1.27)
	noSteps    bool // a job without steps has null for them (Gitea 1.25)
	indexURL   bool // a job's page is named by its place in its run (Gitea up to 1.25)
	runURL     bool // a job's API address in events is below its run's (Gitea 1.24)
	plainTexts bool // errors are those of the model: "invalid status x" (Gitea 1.27)

	// The protocol of runners.
	ephemeral  bool // runners may be ephemeral (Gitea 1.24)
	ownTasks   bool // a runner reports on its own tasks only (Gitea 1.23)
	collisions bool // a runner that loses a race for a job gets none (Gitea up to 1.26)
	resealed   bool // the end of a log may be sent again (Gitea 1.27)
	debounced  bool // contacts are written down now and then only (Gitea 1.27)

	// events are those of webhooks that there are here.
	events []string
}

// has reports whether there are webhooks for the event.
func (r rules) has(event string) bool { return slices.Contains(r.events, event) }

// giteaRules are those of Gitea 1.minor, from 1.22 on.
func giteaRules(minor int) rules {
	r := rules{
		runners: minor >= 24, remove: minor >= 24, disable: minor >= 26,
		jobs: minor >= 25, tasks: minor >= 23,
		mintGet: minor <= 25, mintPost: minor >= 24,
		jobPages: minor >= 26, jobsByID: minor >= 27, noSteps: minor <= 25,
		indexURL: minor <= 25, runURL: minor <= 24, plainTexts: minor >= 27,
		ephemeral: minor >= 24, ownTasks: minor >= 23, collisions: minor <= 26,
		resealed: minor >= 27, debounced: minor >= 27,
		events: []string{eventPush},
	}
	if minor >= 23 {
		r.events = append(r.events, eventStatus)
	}
	if minor >= 24 {
		r.events = append(r.events, eventJob)
	}
	return r
}

// defaultMinor is of the release that the zero Profile stands for.
const defaultMinor = 26

// giteaReleases are the releases of Gitea that were read.
var giteaReleases = []struct {
	minor   int
	version string
}{{22, "1.22.3"}, {23, "1.23.8"}, {24, "1.24.6"}, {25, "1.25.5"}, {defaultMinor, "1.26.0"}, {27, "1.27.3"}}

// Profiles are all that there are.
func Profiles() []Profile {
	var all []Profile
	for _, r := range giteaReleases {
		all = append(all, Profile{fmt.Sprintf("gitea-1.%d", r.minor), r.version, giteaRules(r.minor)})
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
