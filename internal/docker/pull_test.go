package docker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/registry"

	"scaler.io/scaler/internal/plan"
)

func TestPullErrors(t *testing.T) {
	const secret = plan.Secret("s3cret")
	withAuth := func() (string, plan.Secret, string, error) { return "u", secret, "reg.example", nil }
	for _, tc := range []struct {
		name   string
		status int
		body   string
		auth   func() (string, plan.Secret, string, error)
		want   string
	}{
		{name: "done", status: 200, body: `{"status":"Pulling"}` + "\n" + `{"status":"Digest"}`},
		{name: "denied", status: 404, body: `{"message":"pull access denied for x, repository does not exist or may require 'docker login'"}`, want: "or give the pool registry credentials"},
		{name: "wrong credentials", status: 500, body: `{"message":"Get https://reg/v2/: unauthorized: incorrect username or password"}`, auth: withAuth, want: "and the pool's registry credentials"},
		{name: "no tag", status: 404, body: `{"message":"manifest for x:y not found: manifest unknown"}`, want: "check the image's tag"},
		{name: "denied in the report", status: 200, body: `{"status":"Pulling"}` + "\n" + `{"errorDetail":{"message":"denied: no"},"error":"denied: no"}`, want: "registry credentials"},
		{name: "network in the report", status: 200, body: `{"errorDetail":{"message":"read tcp: connection reset"},"error":"x"}`, want: "cannot reach the registry"},
		{name: "disk in the report", status: 200, body: `{"errorDetail":{"message":"no space left on device"},"error":"x"}`, want: "no space left on device: try docker pull x"},
		{name: "rate limit", status: 500, body: `{"message":"toomanyrequests: You have reached your pull rate limit"}`, want: "use a mirror"},
		{name: "report cut short", status: 200, body: `{"status":"Pul`, want: "read report: unexpected EOF"},
		{name: "credentials unreadable", status: 200, auth: func() (string, plan.Secret, string, error) { return "", "", "", io.ErrClosedPipe }, want: "registry credentials: io: read/write on closed pipe"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header string
			socket := socketPath(t)
			fakeEngine(t, socket, map[string]http.HandlerFunc{"POST /images/create": func(w http.ResponseWriter, r *http.Request) {
				header = r.Header.Get(registry.AuthHeader)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}})
			e := fakeClient(t, Config{Host: "unix://" + socket, Pools: map[string]Options{"p": {Image: "x", Auth: tc.auth}}})
			err := e.EnsureImage(t.Context(), "p")
			if tc.want == "" {
				if err != nil || !e.imageSeen("x") {
					t.Fatalf("EnsureImage() = %v, seen %v", err, e.imageSeen("x"))
				}
				return
			}
			if !errors.Is(err, plan.ErrImage) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret.Reveal()) {
				t.Errorf("EnsureImage() = %v, want ErrImage and %q", err, tc.want)
			}
			if got, _ := registry.DecodeAuthConfig(header); tc.status == 500 && tc.auth != nil && got.Password != secret.Reveal() {
				t.Errorf("credentials %+v were sent", got)
			}
		})
	}
}

// TestPullsCoalesce has callers come and give up while one pull runs.
func TestPullsCoalesce(t *testing.T) {
	socket := socketPath(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	var pulls atomic.Int32
	fakeEngine(t, socket, map[string]http.HandlerFunc{"POST /images/create": func(http.ResponseWriter, *http.Request) {
		pulls.Add(1)
		began <- struct{}{}
		<-release
	}})
	e := fakeClient(t, Config{Host: "unix://" + socket, Pools: map[string]Options{"p": {Image: "x"}, "q": {Image: "x"}}})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- e.EnsureImage(ctx, "p") }()
	<-began
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first caller: %v, want context.Canceled", err)
	}
	for _, pool := range []string{"p", "q"} {
		if err := e.EnsureImage(ctx, pool); !errors.Is(err, context.Canceled) {
			t.Errorf("pool %s: %v, want context.Canceled", pool, err)
		}
	}
	close(release)
	if err := e.EnsureImage(t.Context(), "q"); err != nil {
		t.Errorf("the pull was lost with its first caller: %v", err)
	}
	if n := pulls.Load(); n != 1 {
		t.Errorf("%d pulls, want 1", n)
	}
}
