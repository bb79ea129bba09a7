package pool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// keeping is a server that cannot delete runners.
var keeping = giteatest.Options{DisableDelete: true, DisableEphemeral: true}

// few bounds the pool of a rig.
func few(n int) func(*Config) { return sole(func(p *plan.Pool) { p.Max = n }) }

// stored reads the state of a daemon that does not run.
func (r *rig) stored() (records []state.Record, corpses []plan.Corpse) {
	r.t.Helper()
	store, err := state.OpenReadOnly(filepath.Join(r.dir, "state"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer store.Close()
	records, err = store.Records()
	corpses, corpsesErr := store.Corpses()
	if err := errors.Join(err, corpsesErr); err != nil {
		r.t.Fatal(err)
	}
	return records, corpses
}

// wantOnlySpares checks that nothing is left but n runners at the server, and that
// the state has the identity of each as a spare one.
func (r *rig) wantOnlySpares(n int) {
	r.t.Helper()
	records, corpses := r.stored()
	if containers, err := r.engine.List(context.Background()); err != nil || len(containers)+len(records) > 0 {
		r.t.Errorf("left on the engine %v (%v), records %v", containers, err, records)
	}
	var spares, listed []string
	for _, c := range corpses {
		if !c.Spare {
			r.t.Errorf("corpse %s is not spare: %s", c.Identity.Name, c.Why)
		}
		spares = append(spares, c.Identity.Name)
	}
	for _, x := range r.gitea.State().Runners {
		listed = append(listed, x.Name)
	}
	slices.Sort(spares)
	slices.Sort(listed)
	if len(listed) != n || !slices.Equal(spares, listed) {
		r.t.Errorf("the server lists %v, want %d; spare are %v", listed, n, spares)
	}
	if shown := r.log.String(); strings.Contains(shown, registrationToken) || strings.Contains(shown, apiToken) {
		r.t.Error("a token is in the log")
	}
}

// Fifty jobs in five places need no more than five identities, over a restart too.
func TestIdentitiesAreUsedAgain(t *testing.T) {
	for name, server := range map[string]giteatest.Options{"lists jobs": keeping, "lists nothing": {Profile: profile(t, "gitea-1.22")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testUsedAgain(t, server) })
		})
	}
}

func testUsedAgain(t *testing.T, server giteatest.Options) {
	r := newRig(t, server, few(5))
	live := r.watchIdentities()
	r.run()
	r.queue(30, 20*time.Second)
	r.after(70 * time.Second)
	r.stop() // while some run
	r.run()
	r.queue(20, 20*time.Second)
	r.after(10 * time.Minute)
	r.wantJobs(giteatest.StatusSuccess, 50)
	shown := r.m.Status().Corpses
	r.drain()
	registered := r.gitea.State().Counts.Registrations
	if registered > 5 || registered < 2 {
		t.Errorf("%d registrations for 50 jobs in 5 places", registered)
	}
	r.wantOnlySpares(registered)
	if len(shown) == 0 || !shown[0].Spare || shown[0].ID == 0 || !strings.Contains(shown[0].Why, "has ended") {
		t.Errorf("shown: %+v", shown)
	}
	if live.most < 2 {
		t.Errorf("%d identities were seen in containers", live.most)
	}
}

// profile is a release by its name.
func profile(t *testing.T, name string) giteatest.Profile {
	t.Helper()
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drain ends the daemon with all of its runners.
func (r *rig) drain() {
	r.stop()
	r.config.DrainOnShutdown = true
	r.run()
	r.after(time.Second)
	r.stop()
	r.config.DrainOnShutdown = false
}

// identities watches which identity each process of a container has.
type identities struct {
	owner map[string]int
	most  int
}

// watchIdentities has the test fail if two processes have one identity at a time.
func (r *rig) watchIdentities() *identities {
	live := &identities{owner: make(map[string]int)}
	var mu = make(chan struct{}, 1)
	r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		uuid := uuidOf(files)
		mu <- struct{}{}
		if live.owner[uuid]++; live.owner[uuid] > 1 {
			r.t.Errorf("two containers have the identity %s", uuid)
		}
		live.most = max(live.most, len(live.owner))
		<-mu
		defer func() {
			mu <- struct{}{}
			live.owner[uuid]--
			<-mu
		}()
		return r.process(ctx, term, files)
	})
	return live
}

func uuidOf(files map[string][]byte) string {
	for name, data := range files {
		if strings.HasSuffix(name, ".runner") {
			_, rest, _ := strings.Cut(string(data), `"uuid": "`)
			uuid, _, _ := strings.Cut(rest, `"`)
			return uuid
		}
	}
	return fmt.Sprintf("none of %d files", len(files))
}
