package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
)

// desk is the gateway as far as the pool sees it: it gives out tokens, and
// registers who brings one.
type desk struct {
	r *rig

	mu      sync.Mutex
	tokens  map[string]plan.Secret // by runner
	retired int
	fail    error
}

func (d *desk) Issue(_ context.Context, runner, pool string, scope plan.Scope, labels []string, until time.Time) (plan.Secret, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return "", d.fail
	}
	if pool != "linux" || scope != instanceScope || strings.Join(labels, ",") != "linux" || !until.After(time.Now()) {
		return "", fmt.Errorf("asked for %s %s %v until %s", pool, scope, labels, until)
	}
	token := plan.Secret("scaler_" + runner)
	d.tokens[runner] = token
	return token, nil
}

// breaks makes Issue fail from now on; nil lets it work again.
func (d *desk) breaks(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *desk) Retire(_ context.Context, runner string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tokens, runner)
	d.retired++
	return nil
}

// register serves a container.
func (d *desk) register(ctx context.Context, name string, token plan.Secret) (plan.Identity, error) {
	d.mu.Lock()
	good := token != "" && d.tokens[name] == token
	delete(d.tokens, name)
	d.mu.Unlock()
	if !good {
		return plan.Identity{}, plan.ErrTokenRejected
	}
	id, err := d.r.client().Register(ctx, registrationToken, plan.Registration{Name: name, Labels: d.r.config.Pools["linux"].Labels, Ephemeral: d.r.config.Pools["linux"].Ephemeral})
	if err != nil {
		return id, err
	}
	return id, d.r.m.Enrolled(ctx, name, id)
}

// selfRegistering makes a rig whose containers register themselves.
func selfRegistering(t *testing.T, change ...func(*Config)) (*rig, *desk) {
	r := newRig(t, giteatest.Options{}, append(change, func(c *Config) {
		o := c.Pools["linux"]
		o.SelfRegister = &SelfRegister{TokenLifetime: 10 * time.Minute, Env: func(runner string, token plan.Secret) map[string]string {
			return map[string]string{"GITEA_RUNNER_NAME": runner, "GITEA_RUNNER_REGISTRATION_TOKEN": token.Reveal()}
		}}
		c.Pools["linux"] = o
	})...)
	d := &desk{r: r, tokens: map[string]plan.Secret{}}
	r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		if _, given := files["/data/"+register.DotRunnerName]; !given {
			id, err := d.register(ctx, string(files[enginetest.EnvPrefix+"GITEA_RUNNER_NAME"]), plan.Secret(files[enginetest.EnvPrefix+"GITEA_RUNNER_REGISTRATION_TOKEN"]))
			if err != nil {
				return 1
			}
			data, err := register.DotRunner(id)
			if err != nil {
				return 99
			}
			files = maps.Clone(files)
			files["/data/"+register.DotRunnerName] = data
		}
		return r.process(ctx, term, files)
	})
	return r, d
}

func (r *rig) runSelfRegistering(d *desk) { r.run(func(p *Ports) { p.Issuer = d }) }

func TestContainerRegistersItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := selfRegistering(t)
		r.runSelfRegistering(d)
		r.queue(5, time.Second)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 5)
		if r.log.count("runner has registered itself") != 5 || strings.Contains(r.log.String(), "scaler_") {
			t.Error("the log does not say it, or says a token")
		}
		r.stop()
		if n := r.gitea.State().Counts.Registrations; n != 5 || d.retired != 5 {
			t.Errorf("%d registrations, %d tokens retired, want 5", n, d.retired)
		}
		r.wantNothingLeft()
	})
}

func TestContainerThatNeverRegistersIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := selfRegistering(t)
		r.engine.SetProcess(func(context.Context, <-chan struct{}, map[string][]byte) int { return 1 })
		r.runSelfRegistering(d)
		r.queue(1, time.Second)
		r.after(30 * time.Second)
		if p := r.problem("pool linux"); !strings.Contains(p, "ended without having had a job") {
			t.Errorf("problem %q", p)
		}
		if n := r.gitea.State().Counts.Registrations; n != 0 {
			t.Errorf("%d registrations", n)
		}
		r.stop()
		r.killAll()
	})
}

func TestIssueFailsAndNothingIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := selfRegistering(t)
		d.breaks(errors.New("no space left on device"))
		r.runSelfRegistering(d)
		r.queue(1, time.Second)
		r.after(10 * time.Second)
		if p := r.problem("pool linux"); !strings.Contains(p, "issue registration token: no space left") {
			t.Errorf("problem %q", p)
		}
		if n := r.engine.Calls("Create"); n != 0 {
			t.Errorf("%d containers", n)
		}
		d.breaks(nil)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestEnrolledRefusesWhatIsNotStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := selfRegistering(t, persistent, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.runSelfRegistering(d)
		r.after(5 * time.Second)
		known := r.only().Name
		if err := r.m.Enrolled(t.Context(), "scaler-other", plan.Identity{ID: 9}); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("an unknown runner: %v", err)
		}
		if err := r.m.Enrolled(t.Context(), known, plan.Identity{ID: 9}); !errors.Is(err, plan.ErrConflict) {
			t.Errorf("a second registration: %v", err)
		}
		r.kill(r.only().Container) // its successor gets the identity and needs no token
		r.after(10 * time.Second)
		if n := r.gitea.State().Counts.Registrations; n != 1 || r.only().Name != known || r.only().Phase != plan.PhaseIdle {
			t.Errorf("%d registrations, runner %+v", n, r.only())
		}
		r.stop()
		r.killAll()
	})
}

func TestRunnerFileIsEmptiedOnceItIsRead(t *testing.T) {
	for name, ephemeral := range map[string]bool{"ephemeral": true, "persistent": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				if !ephemeral {
					persistent(&r.config)
				}
				r.run()
				r.queue(1, time.Hour)
				r.after(10 * time.Second)
				data, err := r.engine.ReadFile(t.Context(), r.only().Container, "/data/.runner")
				if err != nil || (len(data) == 0) != ephemeral {
					t.Errorf("the file has %d bytes, %v", len(data), err)
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

// The .runner file is empty and the state is lost: who is who is found at the
// server, and a busy runner goes on.
func TestAdoptionWithoutRunnerFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(2, 10*time.Minute)
		r.after(10 * time.Second)
		r.stop()
		if err := os.Remove(filepath.Join(r.dir, "state", "scaler.db")); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.after(5 * time.Minute)
		runners := r.m.Status().Runners
		for _, s := range runners {
			if s.Phase != plan.PhaseBusy || s.ServerID == 0 {
				t.Errorf("runner %s is %s, id %d", s.Name, s.Phase, s.ServerID)
			}
		}
		if len(runners) != 2 || r.log.count("container adopted") != 2 {
			t.Errorf("%d runners", len(runners))
		}
		r.after(10 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.stop()
		r.wantNothingLeft()
	})
}

// An idle one has to be deregistered without its token.
func TestAdoptedRunnerWithoutTokenLeaves(t *testing.T) {
	for name, opts := range map[string]giteatest.Options{"plain": {}, "with Deregister": {Deregister: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, opts, sole(func(p *plan.Pool) { p.Min = 1 }))
				r.run()
				r.after(10 * time.Second)
				r.stop()
				if err := os.Remove(filepath.Join(r.dir, "state", "scaler.db")); err != nil {
					t.Fatal(err)
				}
				r.config.Spec.Pools[0].Min, r.config.Spec.Pools[0].IdleTimeout = 0, time.Minute
				r.run()
				r.after(5 * time.Minute)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}
