package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const initPassword = "password-of-the-administrator"

// runnerURL is where the Gitea of the tests would be for containers.
const runnerURL = "http://git.example.com:3000"

// person answers questions, and sees what a terminal would show.
type person struct {
	screen  *bytes.Buffer
	answers []string // an answer that begins with a # is typed where it is not echoed
	// at is called before each answer, if it is not nil, and says whether there
	// will be none.
	at    func(asked int) (gone bool)
	asked int
}

// Read implements io.Reader: one line each time.
func (p *person) Read(b []byte) (int, error) {
	if p.at != nil && p.at(p.asked) || p.asked == len(p.answers) {
		return 0, io.EOF
	}
	line := p.answers[p.asked]
	p.asked++
	shown := line
	if secret, hidden := strings.CutPrefix(line, "#"); hidden {
		line, shown = secret, ""
	}
	p.screen.WriteString(shown + "\n")
	return copy(b, line+"\n"), nil
}

// newInitWard is a ward without a configuration, whose engine runs nothing that
// this program is for, so that the doctor tries no container.
func newInitWard(t *testing.T, o giteatest.Options) *ward {
	t.Helper()
	w := newWard(t, o)
	w.engine["GET /version"] = `{"Version":"28.0.0","ApiVersion":"1.41","Os":"linux","Arch":"s390x"}`
	w.engine["GET /images/gitea/runner:latest/json"] = `{"Id":"sha256:1","Os":"linux","Architecture":"s390x","Size":1000}`
	w.engine["GET /images/json"] = `[{"RepoTags":["gitea/runner:latest"]},{"RepoTags":["postgres:17"]}]`
	w.server.AddPassword(initPassword, giteatest.APIUser{Login: giteatest.AdminLogin, Admin: true, Owns: []string{"acme"}})
	w.server.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "registration-token-of-acme")
	for _, name := range []string{"api-token", "registration-token"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// path is that of the configuration, in a directory that is not there yet.
func (w *ward) path() string { return filepath.Join(w.dir, "etc", "scaler.yaml") }

// setUp runs scaler init with a person at it, and the flags.
func (w *ward) setUp(t *testing.T, p *person, args ...string) (screen string, err error) {
	t.Helper()
	return w.setUpUntil(t.Context(), p, args...)
}

func (w *ward) setUpUntil(ctx context.Context, p *person, args ...string) (screen string, err error) {
	var out bytes.Buffer
	p.screen = &out
	root := newRootCommand()
	root.SetIn(p)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"init", "--unit", "none.service", "-c", w.path(), "--docker-host", "unix://" + w.socket,
		"--state-dir", w.dir + "/state", "--control-socket", w.dir + "/none.sock", "--job=false", "--runner-url", runnerURL}, args...))
	err = root.ExecuteContext(ctx)
	return out.String(), err
}

// files are those that were written, with their modes.
func (w *ward) files(t *testing.T) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	list, err := os.ReadDir(filepath.Dir(w.path()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range list {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name()] = info.Mode().Perm()
	}
	return found
}

// loaded is the configuration that was written.
func (w *ward) loaded(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.Load(w.path())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantText checks that parts are in a text, wherever its lines are broken.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	text = words(text)
	for _, part := range parts {
		if !strings.Contains(text, words(part)) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// quiet fails the test if a secret is to be seen.
func quiet(t *testing.T, screen string) {
	t.Helper()
	for _, s := range []string{doctorToken, initPassword, "registration-token-of"} {
		if strings.Contains(screen, s) {
			t.Errorf("%s is on the screen:\n%s", s, screen)
		}
	}
}
