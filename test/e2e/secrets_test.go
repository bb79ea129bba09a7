package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// leaks is all that others may see, by where they see it.
type leaks struct {
	mu   sync.Mutex
	seen map[string]string
	errs []error
}

func (l *leaks) add(where, text string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("%s: %w", where, err))
		return
	}
	l.seen[where] += text
}

// want fails the test if one of the secrets is to be seen, or if a place of
// one of the kinds was never looked at.
func (l *leaks) want(t *testing.T, secrets map[string]string, kinds ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errs {
		t.Error(err)
	}
	places := make(map[string]int)
	for where, text := range l.seen {
		kind, _, _ := strings.Cut(where, ": ")
		if text != "" {
			places[kind]++
		}
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	for _, kind := range kinds {
		if places[kind] == 0 {
			t.Errorf("no %s was looked at", kind)
		}
	}
	t.Logf("places looked at: %v", places)
}

func checkSecrets(t *testing.T, r *rig) {
	l := &leaks{seen: make(map[string]string)}
	var following sync.WaitGroup
	events := r.record(t, func(e event) {
		switch name := e.Actor.Attributes["name"]; e.Action {
		case "create":
			out, err := docker(t.Context(), "inspect", e.Actor.ID)
			l.add("docker inspect: created "+name, out, err)
		case "start":
			out, err := docker(t.Context(), "inspect", e.Actor.ID)
			l.add("docker inspect: started "+name, out, err)
			following.Go(func() {
				out, err := exec.CommandContext(t.Context(), "docker", "logs", "-f", e.Actor.ID).CombinedOutput()
				l.add("docker logs: "+name, string(out), err)
			})
		}
	})
	address := freeAddress(t)
	d := r.daemon(t, settings{Pools: []pool{{Name: "secret", Label: "secret", Max: 3}}, LogLevel: "debug", HTTP: address})
	repo := r.repo(t, realgitea.Admin, "secret", 3, "env", "sleep 3s")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	secrets := map[string]string{"the registration token": r.gitea.RegistrationToken, "the API token": r.gitea.APIToken}
	eventually(t, time.Minute, "all jobs are done", func(ctx context.Context) bool {
		d.collect(ctx, t, l, secrets)
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/readyz?format=json", "/", "/pools", "/pools/secret", "/runners", "/queue", "/events", "/config", "/charts/waits.svg"} {
			body, err := fetch(ctx, "http://"+address+path)
			l.add("open page: "+path, body, err)
		}
		return w.done() == 3
	})
	for _, c := range w.succeed(t, 3, time.Minute) {
		log, err := r.jobLog(t.Context(), repo, c.ID)
		l.add(fmt.Sprintf("job log: %d", c.ID), log, err)
	}
	r.nothingLeft(t, goneWithin)
	following.Wait()
	log, err := os.ReadFile(d.log)
	l.add("daemon log: all", string(log), err)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.cmd.Process.Pid))
	l.add("process: environment", string(environment), err)
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.cmd.Process.Pid))
	l.add("process: arguments", string(arguments), err)
	if len(secrets) != 2+3 {
		t.Errorf("%d secrets known, want the two tokens and those of three runners", len(secrets))
	}
	if n := len(events.all("start")); n != 3 {
		t.Errorf("%d containers were started, want 3", n)
	}
	want := []string{
		`scaler_runner_starts_total{pool="secret",reason="job"} 3`, `scaler_runner_stops_total{pool="secret",reason="done"} 3`,
		`scaler_job_wait_seconds_count{pool="secret"} 3`, `scaler_runner_step_seconds_count{step="boot"} 3`, `scaler_ready 1`,
	}
	eventually(t, 10*time.Second, fmt.Sprintf("the metrics have %q", want), func(ctx context.Context) bool {
		shown, err := fetch(ctx, "http://"+address+"/metrics")
		l.add("open page: /metrics", shown, err)
		return err == nil && !slices.ContainsFunc(want, func(line string) bool { return !strings.Contains(shown, "\n"+line+"\n") })
	})
	l.want(t, secrets, "open page", "docker inspect", "docker logs", "control API", "command", "job log", "daemon log", "process")
}

// collect asks the daemon for all that it tells, over its socket and by its
// commands, and learns the runners' own tokens from their .runner files.
func (d *daemon) collect(ctx context.Context, t *testing.T, l *leaks, secrets map[string]string) {
	t.Helper()
	paths := []string{"/v1/status", "/v1/plan", "/v1/runners", "/v1/unknown"}
	for _, r := range d.status(t).Runners {
		own := "the own token of " + r.Name
		if secrets[own] != "" {
			continue
		}
		exported, err := d.client.DotRunner(ctx, r.Name)
		if err != nil {
			continue // not registered yet, or gone
		}
		var identity struct{ Token string }
		if err := json.Unmarshal(exported, &identity); err != nil || len(identity.Token) < 20 {
			t.Fatalf("export of %s: %v: token of %d characters", r.Name, err, len(identity.Token))
		}
		secrets[own] = identity.Token
		paths = append(paths, "/v1/runners/"+r.Name)
		out, err := d.command(ctx, "runner", "show", r.Name, "--config", d.config).CombinedOutput()
		if err == nil {
			l.add("command: runner show", string(out), nil)
		}
	}
	for _, path := range paths {
		body, err := d.get(ctx, path)
		l.add("control API: "+path, body, err)
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"runner", "list"}, {"plan"}} {
		out, err := d.command(ctx, append(args, "--config", d.config)...).CombinedOutput()
		l.add("command: "+strings.Join(args, " "), string(out), err)
	}
}

// freeAddress returns an address on this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// fetch returns what anybody gets.
func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// get asks the control socket, past the client that knows what it may show.
func (d *daemon) get(ctx context.Context, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.client.Path())
		}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://scaler"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// jobLog is what a job printed.
func (r *rig) jobLog(ctx context.Context, repo string, job int64) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/api/v1/repos/%s/actions/jobs/%d/logs", r.gitea.URL, repo, job), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "token "+r.gitea.APIToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}
