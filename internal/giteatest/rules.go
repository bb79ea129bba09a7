package giteatest

import "slices"

// rules are in what the releases differ, as far as runners and their jobs are
// concerned. Each was read in the sources of the releases.
type rules struct {
	// The REST API of administrators.
	runners  bool // runners are listed, read and deleted (Gitea 1.24, Forgejo 15)
	remove   bool // they are deleted (Gitea 1.24, Forgejo 15)
	disable  bool // they are disabled (Gitea 1.26)
	create   bool // they are made, without a registration token (Forgejo 15)
	jobs     bool // jobs are listed and read (Gitea 1.25)
	tasks    bool // a repository's tasks are listed: jobs that were picked (Gitea 1.23, Forgejo 11)
	mintGet  bool // registration tokens come by GET (Gitea up to 1.25, Forgejo)
	mintPost bool // registration tokens come by POST (Gitea 1.24)
	// queue: what runners may take, or have, is listed in Forgejo's way
	// (Forgejo 11).
	queue bool
	// adminActions: the administrator's routes are below /actions, too
	// (Forgejo 15).
	adminActions bool

	// What is in the answers.
	whole      bool // a list of which no page is asked for comes whole (Gitea up to 1.25, Forgejo)
	jobPages   bool // lists of jobs have Link and X-Total-Count (Gitea 1.26)
	jobsByID   bool // lists of jobs are in the order of their ids (Gitea 1.27)
	noSteps    bool // a job without steps has null for them (Gitea 1.25)
	indexURL   bool // a job's page is named by its place in its run (Gitea up to 1.25)
	runURL     bool // a job's API address in events is below its run's (Gitea 1.24)
	plainTexts bool // errors are those of the model: "invalid status x" (Gitea 1.27)
	tellsToken bool // a refused API token is part of the answer (Forgejo 15)
	oldTexts   bool // "The target couldn't be found." (Gitea up to 1.24, Forgejo)
	oldScopes  bool // a refusal names the scopes that are missing only (Gitea 1.22, Forgejo)
	labelled   bool // the queue is empty for who names no labels (Forgejo up to 13)
	handles    bool // jobs in the queue have handles (Forgejo 15)
	runIDs     bool // jobs in the queue have their run's id (Forgejo 16)

	// Webhooks. Events are those that there are here.
	events     []string
	hookPages  bool // the administrator's list has pages (Gitea 1.26, Forgejo 14)
	hookKinds  bool // that list may be asked for other kinds than the system's (Gitea 1.24)
	hookURLs   bool // addresses that are none are refused (Gitea 1.24, Forgejo 14)
	hookTarget bool // a delivery names the level of its hook (Gitea 1.24)
	hookTests  bool // a test is sent to hooks that are for other events, too (Forgejo 14)

	// The protocol of runners.
	ephemeral  bool // runners may be ephemeral (Gitea 1.24, Forgejo 15)
	ownTasks   bool // a runner reports on its own tasks only (Gitea 1.23, Forgejo 11)
	collisions bool // a runner that loses a race for a job gets none (Gitea up to 1.26, Forgejo)
	resealed   bool // the end of a log may be sent again (Gitea 1.27)
	debounced  bool // contacts are written down now and then only (Gitea 1.27)
	codes      bool // errors have codes of Connect, and not "unknown" (Forgejo 11)
	emptyNone  bool // a job without runs-on fits no runner, and not any (Forgejo 11)
	bind       bool // a runner may ask for one job by its handle (Forgejo 15)
	recover    bool // a request that is sent again gets its task again (Forgejo 15)
}

// has reports whether there are webhooks for the event.
func (r rules) has(event string) bool { return slices.Contains(r.events, event) }

// giteaRules are those of Gitea 1.minor, from 1.22 on.
func giteaRules(minor int) rules {
	r := rules{
		runners: minor >= 24, remove: minor >= 24, disable: minor >= 26,
		jobs: minor >= 25, tasks: minor >= 23,
		mintGet: minor <= 25, mintPost: minor >= 24,
		whole: minor <= 25, jobPages: minor >= 26, jobsByID: minor >= 27, noSteps: minor <= 25,
		indexURL: minor <= 25, runURL: minor <= 24,
		plainTexts: minor >= 27, oldTexts: minor <= 24, oldScopes: minor <= 22,
		ephemeral: minor >= 24, ownTasks: minor >= 23, collisions: minor <= 26,
		resealed: minor >= 27, debounced: minor >= 27,
		events:    []string{eventPush, eventRelease},
		hookPages: minor >= 26, hookKinds: minor >= 24, hookURLs: minor >= 24, hookTarget: minor >= 24,
	}
	if minor >= 23 {
		r.events = append(r.events, eventStatus)
	}
	if minor >= 24 {
		r.events = append(r.events, eventJob)
	}
	return r
}

// forgejoRules are those of Forgejo, from 7 on.
func forgejoRules(major int) rules {
	return rules{
		runners: major >= 15, remove: major >= 15, create: major >= 15,
		tasks: major >= 11, mintGet: true, queue: major >= 11, adminActions: major >= 15,
		whole: true, oldTexts: true, tellsToken: major >= 15, oldScopes: true, labelled: major <= 13, handles: major >= 15, runIDs: major >= 16,
		ephemeral: major >= 15, ownTasks: major >= 11, collisions: true,
		codes: major >= 11, emptyNone: major >= 11, bind: major >= 15, recover: major >= 15,
		events: []string{eventPush, eventRelease}, hookPages: major >= 14, hookURLs: major >= 14, hookTests: major >= 14,
	}
}
