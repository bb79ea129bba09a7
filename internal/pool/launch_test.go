package pool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/register"
)

// commands notes the command of each container that a rig starts, "" for that of
// its image.
func (r *rig) commands() func() []string {
	var mu sync.Mutex
	var list []string
	engine := enginetest.New(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		mu.Lock()
		list = append(list, string(files[enginetest.CommandFile]))
		mu.Unlock()
		return r.process(ctx, term, files)
	})
	engine.CreateTime, engine.StartTime = r.engine.CreateTime, r.engine.StartTime
	r.engine = engine
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

func TestCommandOfARunner(t *testing.T) {
	const config = "forgejo-runner --config /data/config.yaml "
	for _, tc := range []struct {
		name      string
		change    func(*Options)
		want      string
		persisted bool
	}{
		{name: "the server's", change: func(*Options) {}, want: ""},
		{name: "named", change: func(o *Options) { o.Program = register.ProgramForgejo }, want: config + "one-job --wait"},
		{name: "job after job", change: func(o *Options) { o.Program, o.Ephemeral = register.ProgramForgejo, false }, want: config + "daemon", persisted: true},
		{name: "the pool's own", change: func(o *Options) { o.Program, o.Launched = register.ProgramForgejo, true }, want: ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, func(c *Config) {
					o := c.Pools["linux"]
					tc.change(&o)
					c.Pools["linux"] = o
				})
				commands := r.commands()
				r.run()
				r.queue(1, time.Second)
				r.after(20 * time.Second)
				r.wantJobs("success", 1)
				if tc.persisted { // one that gets another container
					r.engine.KillAll()
					r.after(20 * time.Second)
				}
				got := commands()
				if len(got) == 0 || tc.persisted && len(got) != 2 || slices.ContainsFunc(got, func(c string) bool { return c != tc.want }) {
					t.Errorf("commands %q, want %q", got, tc.want)
				}
				r.stop()
				r.killAll()
			})
		})
	}
}
