package register

import (
	"errors"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// Where the server makes runners without a registration token none is minted,
// and a token that is given is used all the same.
func TestRegisterWithoutAToken(t *testing.T) {
	value := "good"
	acme := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	for _, tc := range []struct {
		name, token string
		creates     bool
		fail        error
		calls       string
	}{
		{name: "made", token: "minted", creates: true, calls: "create at org:acme"},
		{name: "failed: no second way, which would make a second runner", token: "minted", creates: true, fail: errors.New("HTTP 500"), calls: "create at org:acme"},
		{name: "denied", token: "minted", creates: true, fail: plan.ErrDenied, calls: "create at org:acme"},
		{name: "too old for it", token: "minted", calls: "mint register"},
		{name: "a token of the configuration", token: "file", creates: true, calls: "register"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			f.creates, f.failCreate, f.mints = tc.creates, tc.fail, []plan.Secret{"good"}
			r := New(f, f, []Token{{Name: "minted", Scope: acme}, fileToken(&value)}, 600)
			id, err := r.Register(t.Context(), tc.token, plan.Registration{Name: "a"})
			if !errors.Is(err, tc.fail) || err == nil && id.Name != "a" {
				t.Errorf("%+v, %v", id, err)
			}
			if got := strings.Join(f.calls, " "); got != tc.calls {
				t.Errorf("calls %q, want %q", got, tc.calls)
			}
		})
	}
}
