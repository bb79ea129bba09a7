package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
	"scaler.io/scaler/internal/swarmtest"
)

// swarmInstance is the instance id of the daemons on a Swarm.
const swarmInstance = "e2e0e2e0e2e0"

// TestSwarm drives a Swarm of one node, which it makes, see package swarmtest.
func TestSwarm(t *testing.T) {
	if os.Getenv("SCALER_RUNNER_BIN") == "" {
		t.Skip("SCALER_RUNNER_BIN does not name a runner binary")
	}
	swarmtest.Init(t)
	r := newRig(t)
	for _, check := range []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"jobs one by one from zero", checkSwarmFromZero},
		{"twenty jobs at once", checkSwarmBurst},
		{"kills during a burst", checkSwarmKills},
		{"idle runner goes from a drained node", checkSwarmDrain},
	} {
		t.Run(check.name, func(t *testing.T) { check.run(t, r) })
	}
}

// swarmDaemon starts a daemon on the Swarm.
func (r *rig) swarmDaemon(t *testing.T, s settings) *daemon {
	t.Helper()
	t.Cleanup(func() { r.removeServices(t) })
	s.Swarm = swarmInstance
	return r.daemon(t, s)
}

// ofSwarm returns the names of what the daemon has in the Swarm, by kind.
func ofSwarm(ctx context.Context) (map[string][]string, error) {
	all := make(map[string][]string)
	for _, kind := range []string{"service", "secret", "config"} {
		out, err := docker(ctx, kind, "ls", "-q", "--filter", "label=io.scaler.instance="+swarmInstance)
		if err != nil {
			return nil, err
		}
		if names := strings.Fields(out); len(names) > 0 {
			all[kind] = names
		}
	}
	return all, nil
}

// removeServices removes what a failed check has left in the Swarm.
func (r *rig) removeServices(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	all, err := ofSwarm(ctx)
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, kind := range []string{"service", "secret", "config"} {
		if len(all[kind]) == 0 {
			continue
		}
		if _, err := docker(ctx, append([]string{kind, "rm"}, all[kind]...)...); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

// nothingInSwarm waits until neither the server nor the Swarm has anything of
// ours.
func (r *rig) nothingInSwarm(t *testing.T, within time.Duration) {
	t.Helper()
	var left map[string][]string
	defer func() {
		if t.Failed() {
			t.Logf("left in the Swarm: %v", left)
		}
	}()
	eventually(t, within, "nothing is left in the Swarm", func(ctx context.Context) bool {
		var err error
		left, err = ofSwarm(ctx)
		return err == nil && len(left) == 0
	})
	r.nothingLeft(t, within)
}

func checkSwarmFromZero(t *testing.T, r *rig) {
	const n = 10
	d := r.swarmDaemon(t, settings{Pools: []pool{{Name: "zero", Label: "swarm-zero", Max: 4}}})
	repo := r.repo(t, realgitea.Admin, "swarm-zero", 1, "sleep 300ms")
	w := r.watch(t, repo)
	jobs := r.oneByOne(t, repo, w, n, func() time.Duration { return rand.N(time.Second) }, func() { r.nothingInSwarm(t, goneWithin) })
	t.Log(figures(waits(jobs)))
	wantQuiet(t, d)
}

func checkSwarmBurst(t *testing.T, r *rig) {
	const n, most = 20, 6
	r.swarmDaemon(t, settings{Pools: []pool{{Name: "burst", Label: "swarm-burst", Max: most}}})
	repo := r.repo(t, realgitea.Admin, "swarm-burst", n, "sleep 1s")
	w := r.watch(t, repo)
	began := time.Now()
	r.gitea.Dispatch(t, repo, workflowFile)
	jobs := w.succeed(t, n, 3*time.Minute)
	took := time.Since(began)
	r.nothingInSwarm(t, 2*goneWithin)
	t.Logf("all done after %s; %s", took.Round(time.Millisecond), figures(waits(jobs)))
}

// The daemon is killed over and over, the last time with the loss of its state:
// its instance id is configured, and what is its own it finds by that.
func checkSwarmKills(t *testing.T, r *rig) {
	const n, kills = 12, 4
	d := r.swarmDaemon(t, settings{Pools: []pool{{Name: "kills", Label: "swarm-kills", Max: 4}}})
	repo := r.repo(t, realgitea.Admin, "swarm-kills", n, "sleep 1s", "sleep 1s")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	for i := range kills {
		pause(t, time.Second+rand.N(2*time.Second))
		d.signal(t, syscall.SIGKILL, 10*time.Second)
		if i == kills-1 {
			if err := os.RemoveAll(filepath.Join(filepath.Dir(d.config), "state")); err != nil {
				t.Fatal(err)
			}
		}
		d.start(t)
	}
	jobs := w.succeed(t, n, 4*time.Minute)
	r.wantWhole(t, repo, jobs, 2)
	r.nothingInSwarm(t, 2*time.Minute) // corpses of a lost state take a minute
}

// On a node that is drained the busy runner finishes its job, and the idle one
// goes; the next one waits for a node, and says so.
func checkSwarmDrain(t *testing.T, r *rig) {
	d := r.swarmDaemon(t, settings{Pools: []pool{{Name: "drain", Label: "swarm-drain", Max: 3, Idle: 1}}})
	repo := r.repo(t, realgitea.Admin, "swarm-drain", 1, "sleep 20s")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	eventually(t, time.Minute, "one runner is busy and one idle", func(context.Context) bool {
		p := d.status(t).Pools[0]
		return p.Busy == 1 && p.Idle == 1
	})
	node, err := docker(t.Context(), "info", "--format", "{{.Swarm.NodeID}}")
	if err != nil {
		t.Fatal(err)
	}
	availability := func(to string) {
		if _, err := docker(context.WithoutCancel(t.Context()), "node", "update", "--availability", to, strings.TrimSpace(node)); err != nil {
			t.Error(err)
		}
	}
	availability("drain")
	defer availability("active")
	eventually(t, time.Minute, "the idle runner has gone and another waits for a node", func(context.Context) bool {
		p := d.status(t).Pools[0]
		return p.Busy == 1 && p.Idle == 0 && strings.Contains(p.Hold, "no suitable node")
	})
	r.wantWhole(t, repo, w.succeed(t, 1, 2*time.Minute), 1)
	availability("active")
	eventually(t, time.Minute, "another runner is idle", func(context.Context) bool { return d.status(t).Pools[0].Idle == 1 })
	d.signal(t, syscall.SIGTERM, time.Minute)
}
