package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// forServers is a configuration for servers of these names, or for the one of
// gitea.
func forServers(dir, instance string, names ...string) *config.Config {
	c := &config.Config{StateDir: dir, Instance: instance}
	for _, name := range names {
		g := config.Gitea{URL: fmt.Sprintf("https://%s.example.com", name)}
		if len(names) == 1 && name == "alone" {
			c.Gitea = &g
			return c
		}
		c.Servers = append(c.Servers, config.Server{Name: name, Gitea: g})
	}
	return c
}

// instances opens the state and says which instance each server has.
func instances(t *testing.T, c *config.Config) (ids []string) {
	t.Helper()
	opened, err := openStores(c, slog.New(slog.DiscardHandler))
	must(t, err)
	for _, s := range opened {
		ids = append(ids, s.Instance())
	}
	must(t, opened.close())
	return ids
}

func TestEachServerHasAStateOfItsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	two := instances(t, forServers(dir, "", "acme", "lab"))
	if two[0] == two[1] {
		t.Errorf("instances %q", two)
	}
	if again := instances(t, forServers(dir, "", "lab", "new", "acme")); again[0] != two[1] || again[2] != two[0] || again[1] == two[0] {
		t.Errorf("in another order and with a third: %q, before %q", again, two)
	}
	strays, err := state.Strays(dir, []string{"lab"})
	must(t, err)
	if !slices.Equal(strays, []string{"acme", "new"}) {
		t.Errorf("strays %q", strays)
	}
}

func TestInstancesFollowFromTheConfiguredOne(t *testing.T) {
	const id = "5ca1e4000001"
	first := instances(t, forServers(filepath.Join(t.TempDir(), "state"), id, "acme", "lab"))
	if second := instances(t, forServers(filepath.Join(t.TempDir(), "state"), id, "acme", "lab")); first[0] != id || first[1] == id || !slices.Equal(first, second) {
		t.Errorf("instances %q, and once more %q", first, second)
	}
}

// TestStateGoesToItsServer moves a daemon from one server to several.
func TestStateGoesToItsServer(t *testing.T) {
	for name, tc := range map[string]struct {
		recorded string
		servers  []string
		owner    int // -1 for none, with an error
	}{
		"nothing was made":          {"", []string{"acme", "lab"}, 0},
		"its server is the first":   {"https://acme.example.com", []string{"acme", "lab"}, 0},
		"its server is the second":  {"https://lab.example.com", []string{"acme", "lab"}, 1},
		"its server is not there":   {"https://far.example.com", []string{"acme", "lab"}, -1},
		"as before, with a new URL": {"https://far.example.com", []string{"alone"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			store, err := state.Open(dir)
			must(t, err)
			id := store.Instance()
			if tc.recorded != "" {
				must(t, store.Put(state.Record{Name: "scaler-" + id + "-linux-1", Pool: "linux", Scope: plan.Scope{Kind: plan.ScopeInstance}, Phase: plan.PhaseIdle, Identity: &plan.Identity{ID: 1, UUID: "u", Token: "t", Address: tc.recorded}}))
			}
			must(t, store.Close())
			c := forServers(dir, "", tc.servers...)
			if tc.owner < 0 {
				if _, err := openStores(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tc.recorded) {
					t.Errorf("opened: %v", err)
				}
				return
			}
			if ids := instances(t, c); ids[tc.owner] != id {
				t.Errorf("instance %s has become %q", id, ids)
			}
		})
	}
}
