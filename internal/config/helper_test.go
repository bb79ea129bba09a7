package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// minimal is a good configuration to which tests add lines; it ends within
// its only pool. Its secrets come from the environment of badEnv.
const minimal = `gitea:
  url: https://git.example.com
  api_token: {env: SCALER_TEST_TOKEN}
registration_tokens:
  - name: instance
    scope: instance
    token: {env: SCALER_TEST_TOKEN}
pools:
  - name: linux
    registration_token: instance
    labels: ["linux:host"]
    image: gitea/runner
`

// mustParse parses a configuration that must be good.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// example returns a file of configs/ with the secrets of /etc/scaler put into
// a directory of the test.
func example(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "configs", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, secret := range []string{"api-token", "registration-token", "registry-password", "webhook-secret", "lab-api-token", "lab-webhook-secret"} {
		writeSecret(t, filepath.Join(dir, secret), "t0ken-0123456789abcdef\n", 0o600)
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		pem, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		writeSecret(t, filepath.Join(dir, name), string(pem), 0o600)
	}
	return strings.ReplaceAll(string(data), "/etc/scaler/", dir+"/")
}

func writeSecret(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
