package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// fakeGraves keeps two corpses, a and b.c/d.
type fakeGraves struct{ actor string }

func (f *fakeGraves) ForgetCorpses(_ context.Context, actor string, q plan.ForgetCorpses) ([]string, error) {
	f.actor = actor
	all := []string{"a", "b.c/d"}
	switch {
	case q.All:
		return all, nil
	case slices.Contains(all, q.Names[0]):
		return q.Names, nil
	}
	return nil, fmt.Errorf("corpse %s: %w", q.Names[0], plan.ErrNotFound)
}

func TestCorpseRoutes(t *testing.T) {
	f := &fakeGraves{}
	w := busyWorld(1, 1)
	c := serve(t, attackedDaemon{w}, slog.New(slog.DiscardHandler), WithCorpses(f))
	ctx := t.Context()
	list, err := c.Corpses(ctx)
	if err != nil || len(list) != 2 || list[0].ID != 880 || !list[0].Spare || list[1].URL != "" {
		t.Errorf("corpses %+v, %v", list, err)
	}
	if err := errors.Join(c.ForgetCorpse(ctx, "a"), c.ForgetCorpse(ctx, "b.c/d")); err != nil || f.actor == "" {
		t.Errorf("forget one: %v, by %q", err, f.actor)
	}
	if err := c.ForgetCorpse(ctx, "../a"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("forget one that there is not: %v", err)
	}
	if got, err := c.ForgetCorpses(ctx); err != nil || !slices.Equal(got, []string{"a", "b.c/d"}) {
		t.Errorf("forget all: %v, %v", got, err)
	}
	if _, err := c.call(ctx, callTimeout, http.MethodDelete, "/v1/corpses"); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("forget none: %v", err)
	}
	c = serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	if list, err := c.Corpses(ctx); err != nil || list == nil || len(list) > 0 {
		t.Errorf("of none: %v, %v", list, err)
	}
	if err := c.ForgetCorpse(ctx, "a"); err == nil || !strings.Contains(err.Error(), "takes no orders") {
		t.Errorf("without anybody who keeps them: %v", err)
	}
}

func TestCorpsesOnThePage(t *testing.T) {
	w := busyWorld(2, 1)
	many := w.status.Corpses[0]
	for range shownCorpses {
		w.status.Corpses = append(w.status.Corpses, many)
	}
	b := reader(t, w)
	for path, want := range map[string]bool{"/runners": true, "/runners?phase=busy": false} {
		body := b.get(path).Body.String()
		for _, text := range []string{"Runners that the server cannot delete", `<a href="https://git.example.com/-/admin/actions/runners/880">880</a>`, "scaler-abcd-linux-lost0001", "it may not exist", "And 2 more"} {
			if strings.Contains(body, text) != want {
				t.Errorf("%s: is %q there: %v, want %v", path, text, !want, want)
			}
		}
	}
	w.change(func(s *plan.Status) { s.Corpses = nil })
	if strings.Contains(b.get("/runners").Body.String(), "cannot delete") {
		t.Error("the page tells of none")
	}
}
