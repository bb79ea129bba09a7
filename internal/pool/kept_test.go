package pool

import (
	"errors"
	"os"
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

// An upgrade under the running daemon: what was kept is deleted, a busy runner is
// left alone, and what follows has registrations of its own.
func TestUpgradeEmptiesTheCorpses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(4))
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "Register", DropAfter: true, Times: 1}); err != nil {
			t.Fatal(err)
		}
		r.watchIdentities()
		r.run()
		r.queue(6, 10*time.Second)
		r.after(2 * time.Minute)
		r.queue(1, 5*time.Minute)
		r.after(20 * time.Second)
		shown := r.m.Status().Corpses
		if i := slices.IndexFunc(shown, func(c plan.CorpseStatus) bool { return !c.Spare }); len(shown) < 2 || i < 0 || !strings.Contains(shown[i].Why, "answer to its registration was lost") {
			t.Errorf("corpses before: %+v", shown)
		}
		r.gitea.SetProfile(profile(t, "gitea-1.26"))
		r.after(2 * time.Minute)
		if shown := r.m.Status().Corpses; len(shown) > 0 {
			t.Errorf("corpses after: %+v", shown)
		}
		if n := len(r.journal.of(plan.EventCorpse)); n < 2 {
			t.Errorf("%d corpses were told of", n)
		}
		r.wantJobs(giteatest.StatusInProgress, 1)
		r.queue(3, time.Second)
		r.after(10 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 10)
		r.drain()
		r.wantNothingLeft()
	})
}

// A downgrade, or a server that was put back: what was registered is kept from
// then on.
func TestDowngradeBeginsToKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.23")}, few(3))
		r.gitea.SetProfile(profile(t, "gitea-1.26"))
		r.watchIdentities()
		r.run()
		r.queue(2, 30*time.Second)
		r.after(10 * time.Second)
		r.gitea.SetProfile(profile(t, "gitea-1.23"))
		r.after(10 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.drain()
		r.wantOnlySpares(r.gitea.State().Counts.Registrations)
	})
}

// deleteAtServer deletes a runner as somebody would on the server's page.
func (r *rig) deleteAtServer(name string) {
	r.t.Helper()
	old := r.gitea.Profile()
	r.gitea.SetProfile(profile(r.t, "gitea-1.26"))
	for _, x := range r.gitea.State().Runners {
		if x.Name == name {
			r.delete(x.ID)
		}
	}
	r.gitea.SetProfile(old)
}

func TestSpareThatTheServerHasDroppedIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(2))
		r.run()
		r.queue(4, 5*time.Second)
		r.after(3 * time.Minute)
		r.drain()
		_, corpses := r.stored()
		if len(corpses) != 2 {
			t.Fatalf("%d corpses: %+v", len(corpses), corpses)
		}
		r.deleteAtServer(corpses[0].Identity.Name) // which is to be used next
		r.run()
		r.queue(4, 5*time.Second)
		r.after(3 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 8)
		r.drain()
		if n := r.log.count("spare identity dropped"); n != 1 {
			t.Errorf("the drop of one spare was logged %d times", n)
		}
		r.wantOnlySpares(2)
		if n := r.gitea.State().Counts.Registrations; n != 3 {
			t.Errorf("%d registrations, want a third one for the one that was dropped", n)
		}
	})
}

// A server that refuses a spare for another reason does not lose it, and the
// daemon does not register anew for each try.
func TestSpareThatIsRefusedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(1))
		r.run()
		r.queue(1, time.Second)
		r.after(time.Minute)
		r.drain()
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "Declare", Status: 403, Body: "<html>not here</html>"}); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.queue(1, time.Second)
		r.after(20 * time.Minute)
		if n := r.gitea.State().Counts.Registrations; n != 1 {
			t.Errorf("%d registrations", n)
		}
		if got := r.problem("pool linux"); !strings.Contains(got, "the identity of scaler-") {
			t.Errorf("problem %q", got)
		}
		r.gitea.ClearFaults()
		r.after(10 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.drain()
		r.wantOnlySpares(1)
	})
}

// copyState keeps the state of a daemon that does not run, and returns what puts
// it back.
func (r *rig) copyState() (putBack func()) {
	r.t.Helper()
	path := filepath.Join(r.dir, "state", state.FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// An older copy of the state has as spare what a runner has by now whose file was
// emptied. Nobody else is given it, and the busy runner is not stopped.
func TestOlderStateSharesNoIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(5))
		r.watchIdentities()
		r.run()
		r.queue(4, 20*time.Second)
		r.after(time.Minute)
		r.drain()
		putBack := r.copyState()
		_, before := r.stored()
		r.run()
		r.queue(2, 10*time.Minute)
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusInProgress, 2)
		r.stop()
		putBack()
		r.run()
		r.queue(2, time.Second)
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusInProgress, 2)
		r.wantJobs(giteatest.StatusSuccess, 6) // by runners with new registrations
		known := make(map[string]bool)
		for _, c := range r.m.Status().Corpses {
			known[c.Name] = true
		}
		for _, c := range before {
			if !known[c.Identity.Name] {
				t.Errorf("spare %s was taken while it was not known who has it", c.Identity.Name)
			}
		}
		r.after(20 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 8)
		r.drain()
		r.wantEachIdentityOnce()
		if containers, err := r.engine.List(t.Context()); err != nil || len(containers) > 0 {
			t.Errorf("left on the engine: %v, %v", containers, err)
		}
	})
}

func TestForgetCorpses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(2))
		r.run(func(p *Ports) { p.Pages = r.client() })
		r.queue(4, 5*time.Second)
		r.after(3 * time.Minute)
		shown := r.m.Status().Corpses
		if len(shown) == 0 || shown[0].URL != giteatest.BaseURL+"/admin/actions/runners/1" && shown[0].URL != giteatest.BaseURL+"/admin/actions/runners/2" {
			t.Fatalf("corpses %+v", shown)
		}
		ctx := t.Context()
		for what, f := range map[string]plan.ForgetCorpses{"none": {}, "one and all": {Names: []string{"x"}, All: true}} {
			if _, err := r.m.ForgetCorpses(ctx, "alice", f); !errors.Is(err, plan.ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := r.m.ForgetCorpses(ctx, "alice", plan.ForgetCorpses{Names: []string{"x"}}); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("one that there is not: %v", err)
		}
		got, err := r.m.ForgetCorpses(ctx, "alice", plan.ForgetCorpses{All: true})
		if err != nil || len(got) != len(shown) || got[0] != shown[0].Name {
			t.Errorf("forgotten %v, %v", got, err)
		}
		r.after(5 * time.Second)
		if shown := r.m.Status().Corpses; len(shown) > 0 {
			t.Errorf("corpses after: %+v", shown)
		}
		log, err := r.store.Audit(0, 0)
		if err != nil || len(log) != len(got) || log[0].Actor != "alice" || log[0].Runner != got[0] {
			t.Errorf("audit log %+v, %v", log, err)
		}
		r.drain()
	})
}

func TestCorpseOf(t *testing.T) {
	id := plan.Identity{ID: 7, UUID: "u", Name: "first", Token: "t"}
	tokenless := id
	tokenless.Token = ""
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		rec   state.Record
		spare bool
		name  string
		why   string
	}{
		"ended":                     {state.Record{Identity: &id}, true, "first", "runner second has ended"},
		"machine lost":              {state.Record{Identity: &id, Lost: true}, false, "first", "may still run there"},
		"token lost":                {state.Record{Identity: &tokenless}, false, "first", "token was lost"},
		"answer lost":               {state.Record{}, false, "second", "may not exist"},
		"adopted, and nobody knows": {state.Record{Concealed: true}, false, "second", "identity was lost"},
		"the server says no name":   {state.Record{Identity: &plan.Identity{ID: 7, UUID: "u", Token: "t"}}, true, "second", "has ended"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.rec.Name, tt.rec.Scope = "second", instanceScope
			c := corpseOf(tt.rec, now)
			if c.Spare != tt.spare || c.Identity.Name != tt.name || !strings.Contains(c.Why, tt.why) || c.Scope != instanceScope || c.Since != now {
				t.Errorf("%+v", c)
			}
		})
	}
}
