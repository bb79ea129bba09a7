package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// release is what a release can do, as far as the main path differs by it.
type release struct {
	jobs   bool // tells which jobs wait
	events bool // sends workflow_job events; used where it does not tell
	remove bool // lets runners be deleted
	create bool // makes runners without a registration token
}

// releases are those that the main path is known for, by profile.
var releases = map[string]release{
	"gitea-1.22": {},
	"gitea-1.23": {},
	"gitea-1.24": {events: true, remove: true},
	"gitea-1.25": {jobs: true, remove: true},
	"gitea-1.26": {jobs: true, remove: true},
	"gitea-1.27": {jobs: true, remove: true},
	"forgejo-7":  {},
	"forgejo-11": {jobs: true},
	"forgejo-14": {jobs: true},
	"forgejo-15": {jobs: true, remove: true, create: true},
	"forgejo-16": {jobs: true, remove: true, create: true},
}

// ahead reports whether a runner is kept ready, since nothing tells of jobs.
func (r release) ahead() bool { return !r.jobs && !r.events }

// serversMax is the most runners at a time.
const serversMax = 4

// statusPace is how often jobs are looked at by their commit's statuses.
const statusPace = 50 * time.Millisecond

// TestServers drives the main path against every server that
// SCALER_SERVER_BINS names.
func TestServers(t *testing.T) {
	all := realgitea.Binaries(t)
	r := newEngineRig(t)
	for _, b := range all {
		t.Run(b.Profile, func(t *testing.T) {
			kind, ok := releases[b.Profile]
			if !ok {
				t.Fatalf("profile %s is not known here", b.Profile)
			}
			r := r.on(t, b)
			if strings.HasPrefix(b.Profile, "forgejo-") {
				r.image = r.importForgejo(t)
			}
			t.Run("one by one", func(t *testing.T) { checkServerOneByOne(t, r, kind) })
			t.Run("at once", func(t *testing.T) { checkServerAtOnce(t, r, kind) })
		})
	}
}

// serverDaemon starts a daemon with one pool, of that name and label.
func (r *rig) serverDaemon(t *testing.T, kind release, name string) *daemon {
	t.Helper()
	s := settings{OnShutdown: "drain", Pools: []pool{{Name: name, Label: name, Max: serversMax, Official: true, IdleTimeout: "5s"}}}
	if kind.create {
		s.Tokens = []token{{Name: "instance", Scope: "instance", Mint: true}}
	}
	if kind.events {
		s.Webhook = "http://" + realgitea.FreeAddress(t, r.address)
	}
	return r.daemon(t, s)
}

// pushRepo makes a repository whose pushes run count jobs each, with its first
// one, and a watch of the jobs of its last push.
func (r *rig) pushRepo(t *testing.T, label string, count int, script string) (string, *watch) {
	t.Helper()
	r.repos++
	repo := fmt.Sprintf("%s/p%d", realgitea.Admin, r.repos)
	r.gitea.CreateRepo(t, repo)
	w := startWatch(t, statusPace, func(ctx context.Context) ([]realgitea.Job, error) { return r.gitea.HeadJobs(ctx, repo) })
	var numbers []string
	for i := range count {
		numbers = append(numbers, fmt.Sprint(i+1))
	}
	r.gitea.AddWorkflow(t, repo, workflowFile, fmt.Sprintf(`on: push
jobs:
  job:
    runs-on: [%s]
    strategy:
      matrix:
        n: [%s]
    steps:
      - shell: /bin/stepshell {0}
        run: %s
`, label, strings.Join(numbers, ", "), script))
	return repo, w
}

func checkServerOneByOne(t *testing.T, r *rig, kind release) {
	const n = 10
	d := r.serverDaemon(t, kind, "single")
	var repo string
	var w *watch
	var jobs []course
	for i := range n {
		r.serverAtRest(t, d, kind)
		if i == 0 {
			repo, w = r.pushRepo(t, "single", 1, "sleep 300ms")
		} else {
			r.gitea.AddFile(t, repo, fmt.Sprintf("push%d", i), "")
		}
		jobs = w.succeed(t, i+1, time.Minute)
	}
	t.Logf("%s: one by one: %s", r.gitea.Version, figures(waits(jobs)))
	r.serverEnd(t, d, kind)
}

func checkServerAtOnce(t *testing.T, r *rig, kind release) {
	const n = 10
	d := r.serverDaemon(t, kind, "burst")
	r.serverAtRest(t, d, kind)
	began := time.Now()
	_, w := r.pushRepo(t, "burst", n, "sleep 1s")
	jobs := w.succeed(t, n, 3*time.Minute)
	t.Logf("%s: %d at once, %d at a time: all done after %s; %s", r.gitea.Version, n, serversMax,
		time.Since(began).Round(time.Millisecond), figures(waits(jobs)))
	r.serverEnd(t, d, kind)
}

// restWithin is how long that takes at most: a minute after its start a daemon
// that is told of jobs by events does not keep a runner ready any more for those
// whose events it may have missed.
const restWithin = 2 * time.Minute

// serverAtRest waits until there is nothing but what is there without jobs:
// nothing, or where nothing tells of jobs, one runner that waits for one.
func (r *rig) serverAtRest(t *testing.T, d *daemon, kind release) {
	t.Helper()
	eventually(t, restWithin, "no more is there than is kept ready", func(ctx context.Context) bool {
		s := d.status(t)
		containers, err := r.containers(ctx)
		if err != nil {
			return false
		}
		if kind.ahead() {
			return len(s.Runners) == 1 && s.Pools[0].Idle == 1 && len(containers) == 1
		}
		return len(s.Runners) == 0 && len(containers) == 0
	})
	r.noneTooMany(t, kind)
}

// serverEnd ends the daemon, after which nothing may be left but identities
// that the server cannot delete.
func (r *rig) serverEnd(t *testing.T, d *daemon, kind release) {
	t.Helper()
	if code := d.signal(t, syscall.SIGTERM, time.Minute); code != 0 {
		t.Errorf("the daemon ended with code %d", code)
	}
	containers, err := r.containers(t.Context())
	if err != nil || len(containers) > 0 {
		t.Errorf("containers are left: %v, %v", containers, err)
	}
	if kind.remove {
		r.nothingLeft(t, time.Second)
	}
	r.noneTooMany(t, kind)
}

// noneTooMany fails the test if the server lists more runners than were ever
// there at a time.
func (r *rig) noneTooMany(t *testing.T, kind release) {
	t.Helper()
	runners, err := r.gitea.Runners(t.Context())
	if err != nil || len(runners) > serversMax {
		t.Errorf("%d runners on the server, %d ran at a time at most: %v", len(runners), serversMax, err)
	}
	if !kind.remove {
		t.Logf("%d runners on the server", len(runners))
	}
}
