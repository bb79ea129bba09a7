package gitea

import (
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// TestRealServers: what the client finds at the servers that SCALER_SERVER_BINS
// names is what their releases have, and a runner's way through the client works
// there.
func TestRealServers(t *testing.T) {
	for _, b := range realgitea.Binaries(t) {
		t.Run(b.Profile, func(t *testing.T) {
			p, err := giteatest.ParseProfile(b.Profile)
			if err != nil {
				t.Fatal(err)
			}
			s := realgitea.StartBinary(t, b, "127.0.0.1", "registration-token-of-the-real-servers")
			c := newClient(t, Options{URL: s.URL}, func(o *Options) {
				o.Token = func() (plan.Secret, error) { return plan.Secret(s.APIToken), nil }
				o.Labels = func() []string { return []string{"linux"} }
			})
			unknown(c)
			caps, err := c.Capabilities(t.Context())
			want := capabilitiesOf(p.Version())
			want.Version = s.Version
			if err != nil || withoutTime(caps) != want {
				t.Errorf("found %+v, %v, and the release has %+v", caps, err, want)
			}
			for _, r := range routesOf(caps.Product) {
				for k := range r.of {
					if !c.found.routes[k] {
						t.Errorf("the route %s did not tell of %s", r.path, k)
					}
				}
			}
			server, err := c.Probe(t.Context())
			if err != nil {
				t.Errorf("probe: %+v, %v", server, err)
			}
			checkRealRunner(t, s, c, caps)
			if caps.Jobs {
				checkRealQueue(t, s, c)
			}
		})
	}
}

// checkRealRunner makes a runner, as the daemon does there, and removes it.
func checkRealRunner(t *testing.T, s *realgitea.Server, c *Client, caps plan.Capabilities) {
	t.Helper()
	ctx := t.Context()
	reg := plan.Registration{Name: "scaler-real", Ephemeral: caps.Ephemeral, Labels: []plan.Label{{Name: "linux"}}}
	var id plan.Identity
	var err error
	if caps.Create {
		id, err = c.CreateRunner(ctx, instance, reg)
	} else {
		var token plan.Secret
		if token, err = c.MintToken(ctx, instance); err == nil {
			id, err = c.Register(ctx, token, reg)
		}
	}
	if err != nil || id.Ephemeral != caps.Ephemeral {
		t.Fatalf("make a runner: %v", err)
	}
	if _, err := c.Verify(ctx, id, "test"); err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := c.Withdraw(ctx, id, "test"); err != nil {
		t.Errorf("withdraw: %v", err)
	}
	if !caps.Runners {
		return
	}
	list, err := c.Runners(ctx, instance)
	if err != nil || len(list.Runners) != 1 || list.Runners[0].ID != id.ID {
		t.Errorf("runners %+v, %v: want one of id %d", list, err, id.ID)
	}
	if err := c.DeleteRunner(ctx, instance, id.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
	if left, err := s.Runners(ctx); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// checkRealQueue queues a job and finds it.
func checkRealQueue(t *testing.T, s *realgitea.Server, c *Client) {
	t.Helper()
	const repo = realgitea.Admin + "/queue"
	s.CreateRepo(t, repo)
	s.AddWorkflow(t, repo, "test.yaml", "on: push\njobs:\n  job:\n    runs-on: [linux]\n    steps: [{run: echo}]\n")
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	late := time.After(20 * time.Second)
	for {
		list, err := c.QueuedJobs(t.Context(), instance, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Jobs) == 1 {
			if j := list.Jobs[0]; !strings.EqualFold(j.Repo, repo) || len(j.Labels) != 1 || j.Labels[0] != "linux" {
				t.Errorf("job %+v", j)
			}
			return
		}
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("jobs %+v: want one", list)
		}
	}
}
