package register

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// keeping is a server that cannot delete runners and knows one, with UUID u.
func keeping(id int64) *fakeServer {
	f := newFake(plan.ServerRunner{ID: id, Name: "spare"})
	f.keeps, f.ids = true, map[string]int64{"u": id}
	return f
}

func TestReuse(t *testing.T) {
	reg := plan.Registration{Name: "next", Labels: []plan.Label{{Name: "linux", Schema: "host"}, {Name: "arm"}}, Version: "v1"}
	id := plan.Identity{ID: 5, Name: "spare", UUID: "u", Token: "t", Labels: []string{"old:host"}}
	failing, none := keeping(5), keeping(5)
	failing.fail, none.ids = errors.New("down"), nil
	tests := map[string]struct {
		server   *fakeServer
		notFound bool
		fails    bool
	}{
		"alive":                       {server: keeping(5)},
		"the server does not know it": {server: none, notFound: true, fails: true},
		"it has another id":           {server: keeping(6), notFound: true, fails: true},
		"server fails":                {server: failing, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := New(tt.server, tt.server, nil, 600).Reuse(t.Context(), id, reg)
			if (err != nil) != tt.fails || errors.Is(err, plan.ErrNotFound) != tt.notFound {
				t.Fatalf("error %v", err)
			}
			if !slices.Equal(tt.server.calls, []string{"verify"}) || !slices.Equal(tt.server.declared, []string{"linux", "arm"}) {
				t.Errorf("calls %v, declared %v", tt.server.calls, tt.server.declared)
			}
			if err == nil && (got.Name != "spare" || got.ID != 5 || got.Token != "t" || !slices.Equal(got.Labels, []string{"linux:host", "arm"})) {
				t.Errorf("identity %+v", got)
			}
		})
	}
	if id.Labels[0] != "old:host" {
		t.Error("the caller's identity was changed")
	}
}

// A server that cannot delete runners is not asked for what it does not have,
// and nothing is said to be deleted.
func TestServerThatCannotDelete(t *testing.T) {
	f := keeping(5)
	r := New(f, f, nil, 600)
	for what, err := range map[string]error{
		"deregister": func() error {
			_, err := r.Deregister(t.Context(), instance, plan.Identity{ID: 5, Name: "spare", UUID: "u", Token: "t"})
			return err
		}(),
		"deregister without a token": func() error {
			_, err := r.Deregister(t.Context(), instance, plan.Identity{ID: 5, Name: "spare"})
			return err
		}(),
		"forget": func() error { _, err := r.Forget(t.Context(), instance, "spare"); return err }(),
	} {
		if !errors.Is(err, plan.ErrUnsupported) || !strings.Contains(err.Error(), "1.22.3") {
			t.Errorf("%s: %v, want unsupported, and by which server", what, err)
		}
	}
	if len(f.runners) != 1 || !slices.Equal(f.calls, []string{"deregister"}) {
		t.Errorf("%d runners, calls %v", len(f.runners), f.calls)
	}
	f.rpc = true
	if existed, err := r.Deregister(t.Context(), instance, plan.Identity{ID: 5, Name: "spare", UUID: "u", Token: "t"}); !existed || err != nil {
		t.Errorf("by the runner's own call: %v, %v", existed, err)
	}
}
