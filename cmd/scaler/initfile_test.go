package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
)

// TestInitFiles: what a person may answer gives a file that can be used.
func TestInitFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{apiTokenFile, registrationFile, webhookSecretFile} {
		write(t, filepath.Join(dir, name), "a-secret-of-enough-characters\n")
	}
	base := answers{URL: "https://git.example.com", InternalURL: "https://git.example.com", TokenName: "instance", Scope: plan.Scope{Kind: plan.ScopeInstance},
		Pool: "linux", Labels: []string{"linux:host"}, Image: "gitea/runner:latest", Access: "none", Max: 4, StateDir: defaultStateDir, Socket: defaultSocket, Pull: "missing"}
	full := base
	full.InternalURL, full.Registration, full.DockerHost, full.Access, full.Pull, full.Network = "http://gitea:3000", "x", "tcp://docker:2375", "dind", "always", "builds"
	full.Labels = []string{"ubuntu-latest:docker://docker.gitea.com/runner-images:ubuntu-latest", `odd "name":host`}
	full.WebhookURL, full.WebhookListen, full.StateDir, full.Socket = "http://h:8089", ":8089", "/srv/scaler", "/run/s.sock"
	for name, a := range map[string]answers{"least": base, "all": full} {
		text, err := a.render()
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(filepath.Join(dir, "scaler.yaml"), text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if name == "least" && strings.Contains(string(text), "state_dir") {
			t.Errorf("a default is written:\n%s", text)
		}
		if name == "all" && (c.StateDir != "/srv/scaler" || c.Pools[0].Labels[1].Name != `odd "name"` || c.Pools[0].Container.Pull != config.PullAlways || c.Docker.Host != "tcp://docker:2375") {
			t.Errorf("configuration %+v", c)
		}
	}
}

// TestInitGivesFilesToTheService: the group of the service reads them.
func TestInitGivesFilesToTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	s := &setUp{asker: newAsker(strings.NewReader(""), io.Discard, true), user: &account{name: "daemon-user", uid: 12345, gid: 12346, groups: []uint32{12346}},
		flags: initFlags{config: filepath.Join(dir, "etc", "scaler.yaml")}}
	if err := s.makeDir(filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "etc", "file")
	if err := s.writeWhole(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	mode(t, dir, 0o755)
	if err := s.user.has(path, mayRead); err != nil {
		t.Error(err)
	}
	if err := s.user.has(filepath.Join(dir, "etc"), mayEnter|mayRead); err != nil {
		t.Error(err)
	}
	if err := s.user.has(path, mayWrite); err == nil {
		t.Error("the service may write to it")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestInitClearsStagingAway that a run left which was killed.
func TestInitClearsStagingAway(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, stagingPrefix+"old")
	young := filepath.Join(dir, stagingPrefix+"young")
	for _, d := range []string{old, young} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := noon
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	s := &setUp{asker: newAsker(strings.NewReader(""), io.Discard, true), flags: initFlags{config: filepath.Join(dir, "scaler.yaml")}}
	if _, err := s.stage(nil); err == nil {
		t.Error("a configuration that is not there is good")
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one is gone: %v", err)
	}
}
