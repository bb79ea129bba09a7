package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestReload(t *testing.T) {
	var fault error
	reload := func(ctx context.Context) (Reloaded, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the reload has no deadline")
		}
		return Reloaded{Changes: []string{"poll_interval: 1s → 2s"}, Restart: []string{"gitea.url: a → b"}}, fault
	}
	log := slog.New(slog.DiscardHandler)
	c := serve(t, &fakeSource{}, log, WithReload(reload))
	out, err := c.Reload(t.Context())
	if err != nil || len(out.Changes) != 1 || out.Changes[0] != "poll_interval: 1s → 2s" || len(out.Restart) != 1 {
		t.Errorf("Reload() = %+v, %v", out, err)
	}
	fault = errors.New("scaler.yaml:3: pools: at least one is needed")
	if _, err := c.Reload(t.Context()); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), fault.Error()) {
		t.Errorf("Reload() = %v, want what is wrong with the file", err)
	}
	if _, err := serve(t, &fakeSource{}, log).Reload(t.Context()); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("Reload() = %v of a server that cannot", err)
	}
}
