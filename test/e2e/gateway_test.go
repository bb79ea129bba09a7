package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// outsider is an official runner that nobody of ours has started: all that it
// is told is the gateway's address and a token.
type outsider struct {
	rig       *rig
	dir       string
	container string
	file      dotRunner
}

// dotRunner is what a runner needs of its .runner file to deregister itself.
type dotRunner struct {
	ID      int64  `json:"id"`
	UUID    string `json:"uuid"`
	Token   string `json:"token"`
	Address string `json:"address"`
}

// enrol registers a runner by the runner's own command. It returns what that
// printed.
func (r *rig) enrol(t *testing.T, address, token, name, label string, args ...string) (*outsider, string, error) {
	t.Helper()
	o := &outsider{rig: r, dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv("SCALER_RUNNER_BIN"), append([]string{"register", "--no-interactive", "--instance", address,
		"--token", token, "--name", name, "--labels", label + ":host"}, args...)...)
	cmd.Dir, cmd.Env = o.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.dir}
	out, err := cmd.CombinedOutput()
	if data, readErr := os.ReadFile(filepath.Join(o.dir, ".runner")); readErr == nil {
		if err := json.Unmarshal(data, &o.file); err != nil {
			t.Fatal(err)
		}
	} else if err == nil {
		err = readErr
	}
	return o, string(out), err
}

// start runs the registered runner in a container of the test's.
func (o *outsider) start(t *testing.T) {
	t.Helper()
	out, err := docker(t.Context(), "run", "-d", "--network", o.rig.id, "-v", o.dir+":/data", "--entrypoint", "/bin/act_runner", o.rig.image, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	o.container = strings.TrimSpace(out)
}

// vanish ends the runner without a word, as a pod that is evicted.
func (o *outsider) vanish(t *testing.T) {
	t.Helper()
	if _, err := docker(context.WithoutCancel(t.Context()), "rm", "-f", o.container); err != nil {
		t.Error(err)
	}
}

// deregister makes the call that docs/tokens.md shows with curl.
func (o *outsider) deregister(t *testing.T, extra string) (status int, answer string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":"%d","uuid":%q,"token":%q%s}`, o.file.ID, o.file.UUID, o.file.Token, extra)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.file.Address+"/api/actions/runner.v1.RunnerService/Deregister", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// token runs scaler token and returns what it printed.
func (d *daemon) token(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := d.command(t.Context(), append(append([]string{"token"}, args...), "--config", d.config)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("token %v: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// createToken makes a token and returns its secret.
func (d *daemon) createToken(t *testing.T, name string, args ...string) string {
	t.Helper()
	var made struct{ Name, Token string }
	out := d.token(t, append([]string{"create", "--name", name, "--scope", "instance", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Name != name || made.Token == "" {
		t.Fatalf("create printed %q: %v", out, err)
	}
	return made.Token
}

// listed reports whether the server lists a runner with the id.
func (r *rig) listed(ctx context.Context, id int64) (bool, error) {
	runners, err := r.gitea.Runners(ctx)
	for _, s := range runners {
		if s.ID == id {
			return true, nil
		}
	}
	return false, err
}

func (r *rig) wantGone(t *testing.T, id int64, within time.Duration) {
	t.Helper()
	eventually(t, within, fmt.Sprintf("runner %d is gone from the server", id), func(ctx context.Context) bool {
		there, err := r.listed(ctx, id)
		return err == nil && !there
	})
}

// checkGateway has official runners register with one pinned token twenty
// times, run a job each and go: by the server itself if they are ephemeral, by
// Deregister, or by reap_after if they vanish.
func checkGateway(t *testing.T, r *rig) {
	const rounds = 20
	patient := os.Getenv("SCALER_E2E_SLOW") == "1" // to see reap_after at work takes minutes
	address := "http://" + realgitea.FreeAddress(t, r.gitea.Host)
	d := r.daemon(t, settings{Gateway: address, LogLevel: "debug"})
	secret := d.createToken(t, "stacks", "--pinned", "--description", "for the stacks", "--reap-after", "1m")
	repo := r.repo(t, realgitea.Admin, "outside", 1, "sleep 100ms")
	w := r.watch(t, repo)
	vanished := 0
	for i := range rounds {
		ephemeral := i%2 == 0
		var args []string
		if ephemeral {
			args = append(args, "--ephemeral")
		}
		name := fmt.Sprintf("outside-%d", i)
		o, out, err := r.enrol(t, address, secret, name, "outside", args...)
		if err != nil {
			t.Fatalf("register: %v\n%s", err, out)
		}
		if o.file.Address != address || o.file.Token == "" || strings.Contains(o.file.Token, "scaler_") {
			t.Errorf(".runner has address %s and token of %d characters", o.file.Address, len(o.file.Token))
		}
		o.start(t)
		r.gitea.Dispatch(t, repo, workflowFile)
		w.succeed(t, i+1, time.Minute)
		switch {
		case ephemeral:
			r.wantGone(t, o.file.ID, 10*time.Second)
			o.vanish(t)
		case i%4 == 1 || !patient:
			if status, answer := o.deregister(t, ""); status != http.StatusOK || !strings.Contains(answer, name) {
				t.Errorf("deregister: %d %s", status, answer)
			}
			r.wantGone(t, o.file.ID, time.Second)
			if status, _ := o.deregister(t, ""); status != http.StatusOK {
				t.Errorf("deregister again: %d", status)
			}
			o.vanish(t)
		default:
			o.vanish(t) // and say nothing
			vanished++
		}
	}
	// After its start the gateway gives runners five minutes to come back.
	r.nothingLeft(t, 8*time.Minute)
	t.Logf("%d runners by one token, %d of which just vanished: nothing is left", rounds, vanished)

	d.token(t, "disable", "stacks")
	_, out, err := r.enrol(t, address, secret, "late", "outside")
	if err == nil || !strings.Contains(out, "registration token stacks is disabled") {
		t.Errorf("with a disabled token: %v\n%s", err, out)
	}
	d.token(t, "enable", "stacks")
	o, out, err := r.enrol(t, address, secret, "again", "outside")
	if err != nil {
		t.Errorf("with a token that is enabled again: %v\n%s", err, out)
	}
	if status, answer := o.deregister(t, ""); status != http.StatusOK {
		t.Errorf("deregister: %d %s", status, answer)
	}
	d.token(t, "delete", "stacks")
	if _, out, err := r.enrol(t, address, secret, "deleted", "outside"); err == nil || !strings.Contains(out, "unauthenticated") {
		t.Errorf("with a deleted token: %v\n%s", err, out)
	}
	r.nothingLeft(t, time.Second)
	log, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]string{"a token of the gateway": secret, "a runner's token": o.file.Token, "Gitea's token": r.gitea.RegistrationToken} {
		if strings.Contains(string(log), s) || strings.Contains(d.token(t, "audit", "--json"), s) {
			t.Errorf("%s is in the log or the audit log", what)
		}
	}
}

// checkGatewayBusy: a runner that has a job is not deregistered, and a revoked
// token's runner finishes its job first.
func checkGatewayBusy(t *testing.T, r *rig) {
	address := "http://" + realgitea.FreeAddress(t, r.gitea.Host)
	d := r.daemon(t, settings{Gateway: address})
	secret := d.createToken(t, "team")
	repo := r.repo(t, realgitea.Admin, "outside", 1, "sleep 8s")
	w := r.watch(t, repo)
	o, out, err := r.enrol(t, address, secret, "busy", "outside")
	if err != nil {
		t.Fatalf("register: %v\n%s", err, out)
	}
	o.start(t)
	defer o.vanish(t)
	if _, out, err := r.enrol(t, address, secret, "second", "outside"); err == nil || !strings.Contains(out, "used") {
		t.Errorf("a token that is not pinned was taken twice: %v\n%s", err, out)
	}
	r.gitea.Dispatch(t, repo, workflowFile)
	w.await(t, 1, "in_progress", time.Minute)
	if status, answer := o.deregister(t, ""); status == http.StatusOK || !strings.Contains(answer, "job") {
		t.Errorf("a busy runner was deregistered: %d %s", status, answer)
	}
	wrong := *o
	wrong.file.Token = strings.Repeat("0", len(o.file.Token))
	if status, answer := wrong.deregister(t, `,"force":true`); status != http.StatusUnauthorized {
		t.Errorf("deregistered by a wrong token: %d %s", status, answer)
	}
	d.token(t, "revoke", "team", "--yes")
	w.succeed(t, 1, time.Minute)
	r.wantGone(t, o.file.ID, time.Minute)
	// One that never came by the gateway deregisters through it all the same.
	direct, out, err := r.enrol(t, r.gitea.URL, r.gitea.RegistrationToken, "direct", "outside")
	if err != nil {
		t.Fatalf("register: %v\n%s", err, out)
	}
	direct.file.Address = address
	if status, answer := direct.deregister(t, ""); status != http.StatusOK {
		t.Errorf("deregister a runner of Gitea's own: %d %s", status, answer)
	}
	r.wantGone(t, direct.file.ID, time.Second)
}

// checkSelfRegistration: containers that register themselves, each with a token
// that is worth nothing afterwards.
func checkSelfRegistration(t *testing.T, r *rig) {
	const n = 6
	address := "http://" + realgitea.FreeAddress(t, r.gitea.Host)
	d := r.daemon(t, settings{Gateway: address, Pools: []pool{{Name: "self", Label: "self", Max: 3, SelfRegister: true}}})
	repo := r.repo(t, realgitea.Admin, "self", n, "sleep 2s")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	var stolen string
	eventually(t, time.Minute, "a runner is online", func(ctx context.Context) bool {
		for _, s := range d.status(t).Runners {
			if s.Phase != plan.PhaseBusy {
				continue
			}
			out, err := docker(ctx, "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", s.Container)
			if err != nil {
				continue
			}
			for line := range strings.Lines(out) {
				if token, found := strings.CutPrefix(line, "GITEA_RUNNER_REGISTRATION_TOKEN="); found {
					stolen = strings.TrimSpace(token)
				}
			}
		}
		return stolen != ""
	})
	if _, out, err := r.enrol(t, address, stolen, "thief", "self"); err == nil {
		t.Errorf("the token of a container was good for another registration:\n%s", out)
	}
	t.Log(figures(waits(w.succeed(t, n, 2*time.Minute))))
	r.nothingLeft(t, goneWithin)
}
