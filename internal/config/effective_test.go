package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretText is in every place where a configuration may have a secret, or
// where somebody may have put one.
const secretText = "Tops3cretValue0123"

// secretive is a configuration with secrets in all places.
const secretive = `gitea:
  url: https://git.example.com
  api_token: {file: api-token}
registration_tokens:
  - {name: instance, scope: instance, token: {env: SCALER_TEST_SECRET}}
  - {name: org, scope: "org:acme", token: {credential: org-token}}
pools:
  - name: linux
    registration_token: instance
    labels: ["linux:host"]
    image: gitea/runner:latest
    runner_config: {runner: {envs: {PASSWORD: ` + secretText + `}}}
    schedule:
      - {cron: "0 8 * * 1-5", duration: 10h, max: 20}
    container:
      memory: 4g
      command: [daemon, --password, ` + secretText + `]
      entrypoint: [/run, ` + secretText + `]
      env: {PASSWORD: ` + secretText + `}
      labels: {com.example.key: ` + secretText + `}
      log_options: {splunk-token: ` + secretText + `}
      registry_auth: {username: ci, password: {file: api-token}, server: registry.example.com}
webhook:
  listen: 127.0.0.1:8089
  public_url: http://127.0.0.1:8089
  secret: {file: api-token}
http:
  listen: 127.0.0.1:9180
  read: login
notifications:
  - {name: slack, url: "https://hooks.example.com/` + secretText + `", headers: {X-Key: ` + secretText + `, X-File: {file: api-token}}, template: "{\"a\": \"` + secretText + `\"}"}
  - {name: gitea, url: {file: url}, bearer: {file: api-token}, secret: {file: api-token}}
poll_interval: 2s
`

// loadSecretive loads it with real secrets beside it.
func loadSecretive(t *testing.T) *Config {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"api-token", "org-token"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secretText+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "url"), []byte("https://hooks.example.com/"+secretText), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SCALER_TEST_SECRET", secretText)
	t.Setenv(credentialsDir, dir)
	c, err := Parse(filepath.Join(dir, "scaler.yaml"), []byte(secretive))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEffectsHaveNoSecret(t *testing.T) {
	for _, s := range Effects(loadSecretive(t)) {
		if strings.Contains(s.Value+s.Path+s.Section, secretText) {
			t.Errorf("%s %s shows a secret: %s", s.Section, s.Path, s.Value)
		}
	}
}

func TestEffects(t *testing.T) {
	found := make(map[string]Effect)
	for _, s := range Effects(loadSecretive(t)) {
		key := s.Section + " " + s.Path
		if _, twice := found[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		found[key] = s
	}
	for key, want := range map[string]Effect{
		"gitea url":                                     {Value: "https://git.example.com", Restart: true},
		"gitea request_timeout":                         {Value: "10s", Default: true, Restart: true},
		"gitea tls.insecure_skip_verify":                {Value: "false", Default: true, Restart: true},
		"registration_tokens[instance] token":           {Value: "from env SCALER_TEST_SECRET"},
		"registration_tokens[org] token":                {Value: "from credential org-token"},
		"registration_tokens[org] scope":                {Value: "org:acme"},
		"registration_tokens[org] enabled":              {Value: "true", Default: true},
		"pools[linux] labels":                           {Value: "linux:host"},
		"pools[linux] idle":                             {Value: "0", Default: true},
		"pools[linux] shutdown_timeout":                 {Value: "3h", Default: true},
		"pools[linux] max_unavailable":                  {Value: "1", Default: true},
		"pools[linux] schedule[0].cron":                 {Value: "0 8 * * 1-5"},
		"pools[linux] schedule[0].duration":             {Value: "10h"},
		"pools[linux] schedule[0].timezone":             {Value: "UTC", Default: true},
		"pools[linux] schedule[0].max":                  {Value: "20"},
		"pools[linux] container.memory":                 {Value: "4GiB"},
		"pools[linux] container.env":                    {Value: "set, not shown: it may hold a secret"},
		"pools[linux] container.dns":                    {Value: "none", Default: true},
		"pools[linux] container.registry_auth.username": {Value: "ci"},
		" poll_interval":                                {Value: "2s"},
		"notifications[slack] url":                      {Value: "set, not shown: it may hold a secret"},
		" on_shutdown":                                  {Value: "leave", Default: true},
		"log level":                                     {Value: "INFO", Default: true},
		"http read":                                     {Value: "login", Restart: true},
	} {
		got, there := found[key]
		if !there {
			t.Errorf("%s is missing", key)
			continue
		}
		if got.Value != want.Value || got.Default != want.Default || got.Restart != want.Restart {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	for key, s := range found {
		if strings.HasSuffix(key, "password") || strings.HasSuffix(key, "secret") || strings.HasSuffix(key, "api_token") {
			if !strings.HasPrefix(s.Value, "from file ") {
				t.Errorf("%s: %q, want where it is kept", key, s.Value)
			}
		}
	}
}

func TestURLsAreShownWithoutPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"https://git.example.com/sub":        "https://git.example.com/sub",
		"https://a:b@git.example.com/?t=b#b": "https://git.example.com/",
		"":                                   "",
		"://b":                               "not shown: it is no URL",
	} {
		if got := withoutUser(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
