package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

var errDead = errors.New("the daemon is dead")

// death has everything that a daemon does fail from one call on: the nth of a
// kind, either instead of it or with its answer lost.
type death struct {
	call   string
	nth    int
	answer bool // the call is made, and its answer lost

	mu   sync.Mutex
	seen int
	dead bool
}

// do makes a call, if the daemon lives.
func (d *death) do(call string, f func() error) error {
	d.mu.Lock()
	if d.dead {
		d.mu.Unlock()
		return errDead
	}
	if call == d.call {
		d.seen++
	}
	d.dead = call == d.call && d.seen == d.nth
	dies := d.dead
	d.mu.Unlock()
	switch {
	case !dies:
		return f()
	case d.answer:
		_ = f()
	}
	return errDead
}

func (d *death) ports(p *Ports) {
	p.Store, p.Engine, p.Registrar = dyingStore{p.Store, d}, dyingEngine{p.Engine, d}, dyingRegistrar{p.Registrar, d}
}

type dyingStore struct {
	store
	d *death
}

func (s dyingStore) Put(records ...state.Record) error {
	return s.d.do("Put", func() error { return s.store.Put(records...) })
}

func (s dyingStore) Delete(name string, patience time.Duration) error {
	return s.d.do("Delete", func() error { return s.store.Delete(name, patience) })
}

func (s dyingStore) Keep(name string, c plan.Corpse, patience time.Duration) error {
	return s.d.do("Keep", func() error { return s.store.Keep(name, c, patience) })
}

func (s dyingStore) TakeSpare(r state.Record) (taken state.Record, found bool, err error) {
	err = s.d.do("TakeSpare", func() (err error) {
		taken, found, err = s.store.TakeSpare(r)
		return err
	})
	if err != nil {
		return r, false, err
	}
	return taken, found, nil
}

func (s dyingStore) WithdrawSpare(name string) (withdrawn bool, err error) {
	err = s.d.do("WithdrawSpare", func() (err error) {
		withdrawn, err = s.store.WithdrawSpare(name)
		return err
	})
	return withdrawn && err == nil, err
}

func (s dyingStore) ForgetCorpses(f plan.ForgetCorpses, by *plan.AuditEntry) (forgotten []string, err error) {
	err = s.d.do("ForgetCorpses", func() (err error) {
		forgotten, err = s.store.ForgetCorpses(f, by)
		return err
	})
	return forgotten, err
}

type dyingEngine struct {
	engine
	d *death
}

func (e dyingEngine) Create(ctx context.Context, pool, runner string, launch *plan.Launch) (id string, err error) {
	err = e.d.do("Create", func() (err error) {
		id, err = e.engine.Create(ctx, pool, runner, launch)
		return err
	})
	if err != nil {
		id = ""
	}
	return id, err
}

func (e dyingEngine) Start(ctx context.Context, id string, files []plan.File) error {
	return e.d.do("Start", func() error { return e.engine.Start(ctx, id, files) })
}

func (e dyingEngine) Remove(ctx context.Context, id string, force bool) error {
	return e.d.do("Remove", func() error { return e.engine.Remove(ctx, id, force) })
}

type dyingRegistrar struct {
	registrar
	d *death
}

func (g dyingRegistrar) Register(ctx context.Context, token string, reg plan.Registration) (id plan.Identity, err error) {
	err = g.d.do("Register", func() (err error) {
		id, err = g.registrar.Register(ctx, token, reg)
		return err
	})
	return id, err
}

func (g dyingRegistrar) Deregister(ctx context.Context, scope plan.Scope, id plan.Identity) (existed bool, err error) {
	err = g.d.do("Deregister", func() (err error) {
		existed, err = g.registrar.Deregister(ctx, scope, id)
		return err
	})
	return existed, err
}

func (g dyingRegistrar) Reuse(ctx context.Context, id plan.Identity, reg plan.Registration) (got plan.Identity, err error) {
	err = g.d.do("Reuse", func() (err error) {
		got, err = g.registrar.Reuse(ctx, id, reg)
		return err
	})
	return got, err
}

// Whenever the daemon dies, the next one finds each identity either with a
// record or among the spare ones. All jobs are done, no two containers have one
// identity, and the server lists nothing that people are not told of.
func TestIdentitiesSurviveTheDaemon(t *testing.T) {
	for _, call := range []string{"Put", "TakeSpare", "Reuse", "Register", "Create", "Start", "Remove", "Keep"} {
		for nth := range 4 {
			if nth == 0 || nth > 1 && call == "Register" || nth > 2 && call != "Put" {
				continue
			}
			for _, answer := range []bool{false, true} {
				name := fmt.Sprintf("%s %d", call, nth)
				if answer {
					name += ", answer lost"
				}
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testDeath(t, &death{call: call, nth: nth, answer: answer}) })
				})
			}
		}
	}
}

func testDeath(t *testing.T, d *death) {
	r := newRig(t, keeping, few(3))
	r.watchIdentities()
	r.run()
	r.queue(2, 5*time.Second)
	r.after(time.Minute)
	r.stop()
	before := r.gitea.State().Counts.Registrations

	r.run(d.ports)
	r.queue(3, 10*time.Second)
	r.after(time.Minute)
	r.stop()
	if !d.dead {
		t.Fatalf("it did not die: %s was called %d times", d.call, d.seen)
	}
	r.wantEachIdentityOnce()

	r.run()
	r.after(2 * time.Minute)
	r.queue(3, time.Second)
	r.after(2 * time.Minute)
	r.wantJobs(giteatest.StatusSuccess, 8)
	r.stop()
	r.wantEachIdentityOnce()
	if n := r.gitea.State().Counts.Registrations - before; n > 2 {
		t.Errorf("%d new registrations", n)
	}
	records, corpses := r.stored()
	if len(records) > 0 {
		t.Errorf("records left: %v", records)
	}
	doubtful := 0
	for _, c := range corpses {
		if !c.Spare {
			doubtful++
		}
	}
	// The third runner is registered beside the others, and its answer may be lost
	// with a death of that moment; not with one that comes after.
	if doubtful > 1 || doubtful > 0 && (d.call == "Start" || d.call == "Remove" || d.call == "Keep") {
		t.Errorf("%d corpses that are not spare: %+v", doubtful, corpses)
	}
}

// Whenever the daemon dies while it deletes what was kept at a server that has been
// upgraded, the next one deletes the rest, and gives none of it to a runner.
func TestClearingSurvivesTheDaemon(t *testing.T) {
	for _, call := range []string{"WithdrawSpare", "Deregister", "ForgetCorpses"} {
		for _, answer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, answer lost %v", call, answer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, giteatest.Options{Profile: profile(t, "gitea-1.22")}, few(3))
					r.watchIdentities()
					r.run()
					r.queue(4, 20*time.Second)
					r.after(2 * time.Minute)
					r.drain()
					if _, corpses := r.stored(); len(corpses) < 2 {
						t.Fatalf("corpses %+v", corpses)
					}
					r.gitea.SetProfile(profile(t, "gitea-1.26"))
					d := &death{call: call, nth: 2, answer: answer}
					r.run(d.ports)
					r.after(time.Minute)
					r.stop()
					if !d.dead {
						t.Fatalf("it did not die: %s was called %d times", d.call, d.seen)
					}
					r.run()
					r.queue(2, time.Second)
					r.after(2 * time.Minute)
					r.wantJobs(giteatest.StatusSuccess, 6)
					r.drain()
					r.wantNothingLeft()
					if _, corpses := r.stored(); len(corpses) > 0 {
						t.Errorf("corpses left: %+v", corpses)
					}
				})
			})
		}
	}
}

// wantEachIdentityOnce checks that no identity is lost, and none in two places.
func (r *rig) wantEachIdentityOnce() {
	r.t.Helper()
	records, corpses := r.stored()
	places := make(map[string]int)
	for _, rec := range records {
		places[rec.ServerName()]++ // without an identity: its name is looked for
	}
	for _, c := range corpses {
		places[c.Identity.Name]++
	}
	for _, x := range r.gitea.State().Runners {
		if places[x.Name] == 0 {
			r.t.Errorf("runner %s at the server is known no more", x.Name)
		}
	}
	for name, n := range places {
		if n > 1 {
			r.t.Errorf("identity %s is in %d places", name, n)
		}
	}
}
