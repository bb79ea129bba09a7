package packaging

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
	"scaler.io/scaler/internal/terminaltest"
)

// firstJobWithin is how long it may take from a package to a job that is done.
const firstJobWithin = 5 * time.Minute

// TestNewcomer goes from a Debian host with Docker, a package and a Gitea to the
// first job, as a person at a terminal does: dpkg -i, and scaler init with the
// service started at its end.
//
// It needs SCALER_GITEA_BIN (a Gitea) and SCALER_RUNNER_BIN (a static runner).
func TestNewcomer(t *testing.T) {
	runner := os.Getenv("SCALER_RUNNER_BIN")
	if runner == "" {
		t.Skip("SCALER_RUNNER_BIN does not name a runner binary")
	}
	t.Parallel() // it waits more than it works
	d := newDebian(t)
	gitea := realgitea.Start(t, d.outside(t), "newcomer-registration-token-0123456789")
	d.runner = runnerImage(t, runner)
	repo := realgitea.Admin + "/first"
	gitea.CreateRepo(t, repo)
	gitea.AddWorkflow(t, repo, "first.yaml", "on: workflow_dispatch\njobs:\n  job:\n    runs-on: linux\n    steps: [{shell: '/bin/stepshell {0}', run: 'sleep 300ms'}]\n")
	d.copyIn(t, one(t, packages(t, newVersion), "*.deb"), "/root/scaler.deb")

	began := time.Now()
	d.must(t, "dpkg -i /root/scaler.deb")
	installed := time.Now()
	asked := d.setUp(t, gitea)
	running := time.Now()
	gitea.Dispatch(t, repo, "first.yaml")
	eventually(t, "the first job is done", func() (bool, string) { return d.done(t, gitea, repo) })
	took := time.Since(began)
	t.Logf("dpkg took %s, scaler init %s with %d questions, the first job %s: %s in all", rounded(installed.Sub(began)),
		rounded(running.Sub(installed)), len(asked), rounded(time.Since(running)), rounded(took))
	for i, q := range asked {
		t.Logf("question %d: %s", i+1, q)
	}
	if took > firstJobWithin {
		t.Errorf("it took %s, at most %s are allowed", took, firstJobWithin)
	}
	wantInQuickStart(t, asked)
	d.wantEnabled(t)
	d.wantClean(t, gitea)
	d.wantNarrow(t, gitea)
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// outside returns this machine's address, as it and its containers reach it.
func (d *debian) outside(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(mustRun(t, root, nil, "docker", "inspect", d.container, "-f", "{{.NetworkSettings.Gateway}}"))
}

// runnerImage makes an image of the runner and a shell for the steps, which runs
// by itself, as the official one does.
func runnerImage(t *testing.T, runner string) string {
	t.Helper()
	dir := t.TempDir()
	for _, made := range []string{"bin", "data", "root", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "system", made), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "system", "bin")
	mustRun(t, root, nil, "cp", runner, filepath.Join(bin, "act_runner"))
	mustRun(t, root, []string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", filepath.Join(bin, "stepshell"), "./test/e2e/testdata/stepshell")
	const text = "FROM scratch\nCOPY system /\nWORKDIR /data\nENV PATH=/bin HOME=/root\nENTRYPOINT [\"/bin/act_runner\"]\nCMD [\"daemon\", \"--config\", \"/data/config.yaml\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return buildImage(t, dir, "newcomer")
}

// setUp answers what scaler init asks, at a terminal in there, and returns its
// questions.
func (d *debian) setUp(t *testing.T, gitea *realgitea.Server) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), firstJobWithin)
	defer cancel()
	asked, screen := terminaltest.Converse(t, exec.CommandContext(ctx, "docker", "exec", "-it", d.container, "scaler", "init"), map[string]string{
		"Gitea's URL":                             gitea.URL,
		"How do you want to give one":             "password",
		"User name":                               realgitea.Admin,
		"Password, which is not shown":            realgitea.Password,
		"Image of the runners":                    d.runner,
		"Start the service now, and at each boot": "yes",
	})
	t.Logf("the screen:\n%s", screen)
	if strings.Contains(screen, realgitea.Password) {
		t.Error("the password is on the screen")
	}
	if !strings.Contains(screen, "scaler.service runs.") {
		t.Fatal("the service was not started")
	}
	return asked
}

// done reports whether the one job of a repository has ended well.
func (d *debian) done(t *testing.T, gitea *realgitea.Server, repo string) (bool, string) {
	t.Helper()
	jobs, err := gitea.Jobs(t.Context(), repo, "")
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	if jobs[0].Status == "completed" && jobs[0].Conclusion != "success" {
		t.Fatalf("the job ended as %s", jobs[0].Conclusion)
	}
	return jobs[0].Status == "completed", jobs[0].Status
}

// wantInQuickStart holds the questions to those of the transcript in the
// documents.
func wantInQuickStart(t *testing.T, asked []string) {
	t.Helper()
	text := read(t, "docs/quickstart.md")
	for _, q := range asked {
		name, _, _ := strings.Cut(q, " [")
		if !strings.Contains(text, "\n"+name+" [") && !strings.Contains(text, "\n"+name+":") {
			t.Errorf("docs/quickstart.md does not show the question %q", q)
		}
	}
}

func (d *debian) wantEnabled(t *testing.T) {
	t.Helper()
	if enabled, err := d.sh(t, "systemctl is-enabled scaler; systemctl is-active scaler"); err != nil || enabled != "enabled\nactive\n" {
		t.Errorf("the service is %s, %v", enabled, err)
	}
}

// wantClean waits until neither Gitea nor the engine has anything of the job's,
// and holds that nothing is wrong.
func (d *debian) wantClean(t *testing.T, gitea *realgitea.Server) {
	t.Helper()
	id := d.mustStatus(t, firstSocket).Instance
	eventually(t, "nothing is left of the job", func() (bool, string) {
		runners, err := gitea.Runners(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		containers := mustRun(t, root, nil, "docker", "ps", "-aq", "--filter", "label=io.scaler.instance="+id)
		return len(runners) == 0 && containers == "", containers
	})
	log := d.must(t, "journalctl --no-pager -o cat -u scaler")
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			t.Errorf("the daemon said: %s", line)
		}
	}
}

// wantNarrow checks that the token which is kept can do no more than it needs.
func (d *debian) wantNarrow(t *testing.T, gitea *realgitea.Server) {
	t.Helper()
	token := strings.TrimSpace(d.must(t, "cat /etc/scaler/api-token"))
	for path, want := range map[string]int{"/admin/actions/runners": http.StatusOK, "/user": http.StatusForbidden, "/user/orgs": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gitea.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %d to the token, want %d", path, resp.StatusCode, want)
		}
	}
}
