package pool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// keepers are the releases that cannot delete runners.
var keepers = map[string]bool{"gitea-1.22": true, "gitea-1.23": true, "forgejo-7": true, "forgejo-11": true, "forgejo-14": true}

// wantLittleLeft ends the daemon with its runners and checks that nothing is left
// but, where the release cannot delete runners, the identities of as many as
// could run at a time.
func (r *rig) wantLittleLeft(release string) {
	r.t.Helper()
	r.drain()
	if !keepers[release] {
		r.wantNothingLeft()
		return
	}
	registered := r.gitea.State().Counts.Registrations
	if most := r.config.Spec.Pools[0].Max; registered > most {
		r.t.Errorf("%d registrations, want at most %d", registered, most)
	}
	r.wantOnlySpares(registered)
}

// TestEveryRelease runs the main path against each release.
func TestEveryRelease(t *testing.T) {
	for _, p := range giteatest.Profiles() {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{Profile: p}, few(3))
				r.run()
				r.after(2 * time.Second)
				r.queue(8, 10*time.Second)
				r.after(5 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 8)
				r.wantLittleLeft(p.String())
			})
		})
	}
}

// TestReleaseChanges replaces the server by one of another release while jobs run
// and wait.
func TestReleaseChanges(t *testing.T) {
	tests := [][]string{
		{"gitea-1.22", "gitea-1.24", "gitea-1.26"},
		{"gitea-1.22", "gitea-1.27"},
		{"gitea-1.23", "gitea-1.25", "gitea-1.27"},
		{"gitea-1.26", "gitea-1.25"},
		{"gitea-1.26", "gitea-1.22", "gitea-1.26"},
		{"forgejo-7", "forgejo-11", "forgejo-15"},
		{"forgejo-11", "forgejo-15"},
		{"forgejo-14", "forgejo-16"},
	}
	for _, tt := range tests {
		for name, silence := range map[string]time.Duration{"at once": 0, "after a while": 3 * time.Second} {
			t.Run(strings.Join(tt, ", ")+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testReleaseChanges(t, silence, tt) })
			})
		}
	}
}

// replace puts a server of another release in the place of the one that is there,
// with some time of silence between them.
func (r *rig) replace(p giteatest.Profile, silence time.Duration) {
	r.t.Helper()
	if silence > 0 {
		if err := r.gitea.SetFault(giteatest.Fault{Drop: true}); err != nil {
			r.t.Fatal(err)
		}
		r.after(silence)
	}
	r.gitea.SetProfile(p)
	r.gitea.ClearFaults()
}

// testReleaseChanges: a server that was silent, or that lacked something, is asked
// what it can do with the next poll. What a full one could do is not asked for
// before it fails.
func testReleaseChanges(t *testing.T, silence time.Duration, releases []string) {
	r := newRig(t, giteatest.Options{Profile: profile(t, releases[0])}, few(3))
	r.run()
	r.after(2 * time.Second)
	const each = 5
	r.queue(each, 40*time.Second)
	r.after(20 * time.Second)
	for _, name := range releases[1:] {
		if got := r.gitea.State().Jobs; got[giteatest.StatusInProgress] == 0 || got[giteatest.StatusQueued] == 0 {
			t.Errorf("before %s: jobs %v, want some that run and some that wait", name, got)
		}
		noticed := silence > 0 || !r.m.Status().Capabilities.Full()
		p := profile(t, name)
		r.replace(p, silence)
		r.after(2 * time.Second)
		if caps := r.m.Status().Capabilities; noticed && caps.Version != p.Version() {
			t.Errorf("%s is not noticed within a poll: %+v", name, caps)
		}
		r.queue(each, 40*time.Second)
		r.after(20 * time.Second)
	}
	r.wantDone(each*len(releases), 20*time.Minute)
	r.wantLittleLeft(releases[len(releases)-1])
}
