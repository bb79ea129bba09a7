package config

import (
	"slices"
	"testing"
)

// several has two servers, of which the second one says most by itself.
const several = `servers:
  - {name: acme, url: https://git.example.com, api_token: {env: SCALER_TEST_TOKEN}}
  - name: lab
    url: https://lab.example.com
    internal_url: http://lab:3000
    api_token: {env: SCALER_TEST_TOKEN}
    limits: {runners: 3, cpus: 2, memory: 1g, registrations: 30}
    webhook: {path: /lab, secret: {env: SCALER_TEST_SECRET}}
registration_tokens:
  - {name: acme, server: acme, scope: instance, mint: true}
  - {name: lab, server: lab, scope: instance, mint: true}
pools:
  - {name: a, server: acme, registration_token: acme, labels: ["linux:host"], image: gitea/runner}
  - {name: b, server: lab, registration_token: lab, labels: ["linux:host"], image: gitea/runner}
  - {name: c, server: acme, registration_token: acme, labels: ["linux:host"], image: gitea/runner}
limits: {runners: 5, cpus: 8, memory: 4g, reserve: {cpus: 1}, registrations: 60}
gateway: {server: lab, listen: "127.0.0.1:8088", public_url: https://runners.example.com}
webhook: {listen: ":8089", path: /hooks, public_url: http://build-1:8089, secret: {env: SCALER_TEST_TOKEN_LONG}}
`

func TestForServer(t *testing.T) {
	badEnv(t)
	t.Setenv("SCALER_TEST_TOKEN_LONG", "0123456789abcdef")
	c := mustParse(t, several)
	if names := c.ServerNames(); !slices.Equal(names, []string{"acme", "lab"}) {
		t.Fatalf("servers %q", names)
	}
	acme, lab := c.ForServer("acme"), c.ForServer("lab")
	if acme.Gitea.URL != "https://git.example.com" || acme.Gitea.InternalURL != acme.Gitea.URL || lab.Gitea.InternalURL != "http://lab:3000" {
		t.Errorf("URLs %+v and %+v", acme.Gitea, lab.Gitea)
	}
	if len(acme.Pools) != 2 || acme.Pools[0].Name != "a" || acme.Pools[1].Name != "c" || len(lab.Pools) != 1 || lab.Pools[0].Name != "b" {
		t.Errorf("pools %v and %v", acme.Pools, lab.Pools)
	}
	if len(acme.RegistrationTokens) != 1 || acme.RegistrationTokens[0].Name != "acme" || len(lab.RegistrationTokens) != 1 {
		t.Errorf("tokens %v and %v", acme.RegistrationTokens, lab.RegistrationTokens)
	}
	if l := acme.Limits; l.Runners != 0 || l.CPUs != 0 || l.Memory != 0 || l.Reserve != (Reserve{}) || l.Registrations != 60 {
		t.Errorf("limits of acme %+v", l)
	}
	if l := lab.Limits; l.Runners != 3 || l.CPUs != 2 || l.Memory != 1<<30 || l.Registrations != 30 {
		t.Errorf("limits of lab %+v", l)
	}
	if acme.Gateway != nil || lab.Gateway == nil {
		t.Errorf("gateways %v and %v", acme.Gateway, lab.Gateway)
	}
	if acme.Webhook.Path != "/hooks/acme" || acme.Webhook.Secret != c.Webhook.Secret {
		t.Errorf("webhook of acme %+v", acme.Webhook)
	}
	if lab.Webhook.Path != "/lab" || lab.Webhook.Secret == c.Webhook.Secret {
		t.Errorf("webhook of lab %+v", lab.Webhook)
	}
	if len(c.Pools) != 3 || c.Gitea != nil || c.Limits.Runners != 5 || c.Webhook.Path != "/hooks" {
		t.Error("the whole configuration was changed")
	}
}

func TestOneServerIsTheConfiguration(t *testing.T) {
	badEnv(t)
	c := mustParse(t, minimal)
	if names := c.ServerNames(); !slices.Equal(names, []string{""}) || c.ForServer("") != c {
		t.Errorf("servers %q", names)
	}
}

// TestServersNeedARestart shows that a running daemon keeps its servers, and
// takes over what is about the pools.
func TestServersNeedARestart(t *testing.T) {
	badEnv(t)
	t.Setenv("SCALER_TEST_TOKEN_LONG", "0123456789abcdef")
	running, wanted := mustParse(t, several), mustParse(t, several)
	wanted.Servers = wanted.Servers[:1]
	wanted.Servers[0].URL, wanted.Pools[0].Max = "https://other.example.com", 4
	next := Applicable(running, wanted)
	if len(next.Servers) != 2 || next.Servers[0].URL != "https://git.example.com" || next.Pools[0].Max != 4 {
		t.Errorf("taken over: %+v", next)
	}
	var restart []string
	for _, c := range Diff(next, wanted) {
		restart = append(restart, c.String())
		if !c.Restart {
			t.Errorf("%s needs no restart", c)
		}
	}
	if want := []string{"servers[acme].url: https://git.example.com → https://other.example.com", "servers[lab]: removed"}; !slices.Equal(restart, want) {
		t.Errorf("after a restart %q, want %q", restart, want)
	}
}

func TestEffectsNameTheServers(t *testing.T) {
	badEnv(t)
	t.Setenv("SCALER_TEST_TOKEN_LONG", "0123456789abcdef")
	found := false
	for _, e := range Effects(mustParse(t, several)) {
		found = found || e.Section == "servers[lab]" && e.Path == "internal_url" && e.Value == "http://lab:3000" && e.Restart
	}
	if !found {
		t.Error("the URL of a server is not shown")
	}
}
