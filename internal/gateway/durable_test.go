package gateway

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// The real store gives back what a gateway needs to go on.
func TestGatewayGoesOnFromTheRealStore(t *testing.T) {
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "state") // made with the mode that it needs
	open := func() (*state.Store, *Gateway) {
		db, err := state.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		g := New(w.cfg, Ports{Enroller: w.gitea, Forge: w.gitea, Verifier: w.gitea, Store: db, Fleet: w.fleet}, slog.New(slog.NewTextHandler(w.log, nil)))
		if err := g.Load(); err != nil {
			t.Fatal(err)
		}
		return db, g
	}
	db, g := open()
	made, err := g.Create(t.Context(), "alice", plan.TokenSpec{Name: "stacks", Scope: orgScope, Labels: []string{"linux"}, ReapAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w.secrets = append(w.secrets, made.Secret.Reveal())
	bound, err := g.Issue(t.Context(), podName, "linux", orgScope, nil, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.secrets = append(w.secrets, bound.Reveal())
	resp, err := g.admit(t.Context(), w.request(made.Secret, "r1", "linux"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db, g = open()
	defer func() { _ = db.Close() }()
	_, err = g.admit(t.Context(), w.request(made.Secret, "r2"))
	wantRefusal(t, err, kindUnauthenticated, "is used up")
	w.fleet.owner[podAddr] = podName
	if _, err := g.admit(t.Context(), w.podRequest(bound)); err != nil {
		t.Errorf("the pool's runner: %v", err)
	}
	r := resp.GetRunner()
	if _, err := g.Deregister(t.Context(), DeregisterRequest{ID: r.GetId(), UUID: r.GetUuid(), Token: plan.Secret(r.GetToken()), Source: somehost}); err != nil {
		t.Error(err)
	}
	entries, err := g.Audit(0, 100)
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action)
	}
	if got, want := strings.Join(actions, " "), "token.create register.begin register refuse register.begin register deregister"; err != nil || got != want {
		t.Errorf("audit = %s, want %s (%v)", got, want, err)
	}
	if _, list, err := g.Token("stacks"); err != nil || len(list) != 1 || list[0].Gone != selfReason || list[0].ReapAfter != time.Hour {
		t.Errorf("the runners are %+v, %v", list, err)
	}
}
