package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("a-token-of-16-bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SCALER_TEST_SECRET", "another-token-of-16")
	c, err := Parse(filepath.Join(dir, "scaler.yaml"), []byte(`
gitea: {url: https://git.example.com, api_token: {file: token}}
registration_tokens:
  - {name: a, scope: instance, mint: true}
  - {name: b, scope: org:acme, token: {env: SCALER_TEST_SECRET}}
pools:
  - {name: p, registration_token: a, labels: [l], image: "i:1", container: {registry_auth: {username: ci, password: {file: token}}}}
webhook: {listen: ":8089", public_url: http://h, secret: {file: token}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"gitea.api_token", "registration_tokens[1].token", "pools[0].container.registry_auth.password", "webhook.secret"}
	got := c.Secrets()
	if len(got) != len(want) {
		t.Fatalf("found %v", got)
	}
	for i, s := range got {
		file, isFile := s.Ref.File()
		if s.Path != want[i] || isFile != (i != 1) || isFile && file != filepath.Join(dir, "token") {
			t.Errorf("secret %d is %s, %s", i, s.Path, s.Ref)
		}
	}
}
