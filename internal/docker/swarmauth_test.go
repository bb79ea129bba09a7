package docker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/registry"

	"scaler.io/scaler/internal/plan"
)

// The credentials go to the registry that is asked for the digest, and with the
// service to the nodes, which pull by themselves.
func TestSwarmPassesRegistryAuthOn(t *testing.T) {
	const image, digest = "registry.example.com/ci/runner:1", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	var asked []string
	record := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			said := "without"
			if header := r.Header.Get(registry.AuthHeader); header != "" {
				auth, err := registry.DecodeAuthConfig(header)
				if err != nil {
					t.Error(err)
				}
				said = fmt.Sprintf("%s:%s at %s", auth.Username, auth.Password, auth.ServerAddress)
			}
			asked = append(asked, strings.TrimPrefix(r.URL.Path, "/v1.41")+" "+said)
			fmt.Fprint(w, answer)
		}
	}
	socket := socketPath(t)
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /distribution/" + image + "/json": record(`{"Descriptor": {"digest": "` + digest + `"}}`),
		"POST /services/create":                record(`{"ID": "s1"}`),
	})
	known := func() (string, plan.Secret, string, error) { return "ci", "pass", "registry.example.com", nil }
	for want, auth := range map[string]func() (string, plan.Secret, string, error){
		"ci:pass at registry.example.com": known,
		"without":                         nil,
	} {
		asked = nil
		s := newTestSwarm(t, Config{Instance: "i", Host: "unix://" + socket, Pools: map[string]Options{"p": {Image: image, Auth: auth}}})
		if id, err := s.Create(t.Context(), "p", "scaler-i-p-1", nil); err != nil || id != "s1" {
			t.Errorf("%s: %q, %v", want, id, err)
		}
		if all := []string{"/distribution/" + image + "/json " + want, "/services/create " + want}; !slices.Equal(asked, all) {
			t.Errorf("the engine was asked\n%q, want\n%q", asked, all)
		}
	}
}
