package server

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"scaler.io/scaler/internal/plan"
)

const testSecret = "scaler_0123456789012345678901234567890123456789012345678"

// blocksOf returns the text of all blocks by command and number.
func blocksOf(gateway string, t plan.Token) map[string][]string {
	texts := make(map[string][]string)
	for _, c := range commands(gateway, "gitea/runner:latest", plan.NewToken{Token: t, Secret: testSecret}) {
		for _, b := range c.Blocks {
			texts[c.ID] = append(texts[c.ID], b.Text)
		}
	}
	return texts
}

func TestCommands(t *testing.T) {
	const gateway = "https://runners.example.com"
	limited := stacks()
	limited.Labels = []string{"linux", "it's $HOME"}
	single := stacks()
	single.Pinned = false
	for name, token := range map[string]plan.Token{"reusable": stacks(), "single use": single, "labels": limited} {
		t.Run(name, func(t *testing.T) {
			texts := blocksOf(gateway, token)
			for id, scripts := range map[string][]string{
				"docker-run": {texts["docker-run"][0]}, "compose": {texts["compose"][0], texts["compose"][2]}, "stack": {texts["stack"][0], texts["stack"][2]},
				"helm": {texts["helm"][0], texts["helm"][2]}, "bare": texts["bare"], "deregister": texts["deregister"],
			} {
				for _, script := range scripts {
					if out, err := exec.Command("sh", "-n", "-c", script).CombinedOutput(); err != nil {
						t.Errorf("%s: %v %s\n%s", id, err, out, script)
					}
				}
				if joined := strings.Join(texts[id], "\n"); id != "deregister" && strings.Count(joined, testSecret) != 1 || id == "deregister" && strings.Contains(joined, testSecret) {
					t.Errorf("%s: the secret is not in one place:\n%s", id, joined)
				}
			}
			for _, id := range []string{"compose", "stack"} {
				checkCompose(t, texts[id][1], gateway, token)
			}
			var values struct {
				Enabled                           bool
				GiteaRootURL                      string `yaml:"giteaRootURL"`
				ExistingSecret, ExistingSecretKey string
			}
			if err := yaml.Unmarshal([]byte(texts["helm"][1]), &values); err != nil || !values.Enabled || values.GiteaRootURL != gateway {
				t.Errorf("helm: %+v, %v", values, err)
			}
			for _, text := range texts["deregister"] {
				if !strings.Contains(text, gateway+"/api/actions/runner.v1.RunnerService/Deregister") {
					t.Errorf("deregister: %s", text)
				}
			}
		})
	}
}

// checkCompose reads the file as Compose does and looks at what counts.
func checkCompose(t *testing.T, text, gateway string, token plan.Token) {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Image            string
			Environment      map[string]string
			Secrets, Volumes []string
		}
		Secrets, Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s := file.Services["runner"]
	secret, _ := strings.CutPrefix(s.Environment["GITEA_RUNNER_REGISTRATION_TOKEN_FILE"], "/run/secrets/")
	if s.Image != "gitea/runner:latest" || s.Environment["GITEA_INSTANCE_URL"] != gateway || len(s.Secrets) != 1 || s.Secrets[0] != secret {
		t.Errorf("service %+v", s)
	}
	if _, declared := file.Secrets[secret]; !declared {
		t.Errorf("the secret %q is not declared", secret)
	}
	for _, v := range s.Volumes {
		name, _, _ := strings.Cut(v, ":")
		if _, declared := file.Volumes[name]; !declared && !strings.HasPrefix(name, "/") {
			t.Errorf("the volume %s is not declared", name)
		}
	}
	if strings.Contains(strings.ReplaceAll(text, "$$", ""), "$") {
		t.Errorf("Compose would put a variable in:\n%s", text)
	}
	labels := strings.ReplaceAll(s.Environment["GITEA_RUNNER_LABELS"], "$$", "$")
	var names []string
	for l := range strings.SplitSeq(labels, ",") {
		if labels != "" {
			name, _, _ := strings.Cut(l, ":")
			names = append(names, name)
		}
	}
	if strings.Join(names, ",") != strings.Join(token.Labels, ",") {
		t.Errorf("labels %q, want %q", names, token.Labels)
	}
}

// What an administrator has put into a label must reach the runner as it is.
func TestCommandsQuote(t *testing.T) {
	limited := stacks()
	limited.Labels = []string{"it's", "$(touch x)", "a b"}
	script := blocksOf("https://runners.example.com/a'b", limited)["bare"][0]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gitea-runner"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-c", script)
	shell.Env = []string{"PATH=" + dir}
	out, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(string(out), "\n")
	for _, want := range []string{"https://runners.example.com/a'b", "it's:host,$(touch x):host,a b:host", testSecret} {
		if !slices.Contains(args, want) {
			t.Errorf("no argument %q in %q", want, args)
		}
	}
}

func TestSecretPageHasAllCommands(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens())
	w := b.post("/tokens/new", newToken(t, b, "name", "x", "scope", "instance", "kind", "reusable", "labels", "a<b")...)
	if w.Code != http.StatusOK {
		t.Fatalf("%d", w.Code)
	}
	page := parsePage(t, w)
	for _, id := range []string{"docker-run", "compose", "stack", "helm", "bare", "deregister"} {
		if len(page.find("h2", "id", id)) != 1 {
			t.Errorf("no section %s", id)
		}
	}
	if !strings.Contains(page.find("section", "aria-labelledby", "bare")[0].text, "a<b:host") {
		t.Error("a label is not shown as it is")
	}
}
