package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/terminaltest"
)

const (
	// firstJobWithin is how long it may take from nothing to a job that is done.
	firstJobWithin = 5 * time.Minute
	// promptWithin is how long it may be until the next question.
	promptWithin = time.Minute
)

// prompt is a line that waits for an answer, with the answer that Enter takes.
var prompt = regexp.MustCompile(`^([A-Z][^\[\]]*?)(?: \[([^\]]*)\])?: $`)

// TestNewcomer goes from a host with Docker and a Gitea to the first job, by
// scaler init alone, as a person at a terminal does.
func TestNewcomer(t *testing.T) {
	r := newRig(t)
	image := r.standalone(t)
	dir, err := os.MkdirTemp("", "scaler-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{rig: r, client: server.NewClient(filepath.Join(dir, "scaler.sock")),
		config: filepath.Join(dir, "etc", "scaler.yaml"), log: filepath.Join(t.ArtifactDir(), "scaler.log")}
	t.Cleanup(func() {
		d.kill()
		if log, err := os.ReadFile(d.log); err == nil && t.Failed() {
			t.Logf("the daemon's log:\n%s", log)
		}
		r.sweep(t)
	})
	repo := r.repo(t, realgitea.Admin, "linux", 1, "sleep 300ms")

	began := time.Now()
	asked := d.answer(t, map[string]string{
		"Gitea's URL":                  r.gitea.URL,
		"How do you want to give one":  "password",
		"User name":                    realgitea.Admin,
		"Password, which is not shown": realgitea.Password,
		"Image of the runners":         image,
	}, "init", "--config", d.config, "--unit", "none.service", "--network", r.id,
		"--state-dir", filepath.Join(dir, "state"), "--control-socket", filepath.Join(dir, "scaler.sock"))
	setUp := time.Since(began)
	d.start(t)
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	jobs := w.succeed(t, 1, time.Minute)
	took := time.Since(began)
	t.Logf("scaler init took %s with %d questions, the first job was done after %s; %s", setUp.Round(time.Millisecond), len(asked),
		took.Round(time.Millisecond), figures(waits(jobs)))
	for i, q := range asked {
		t.Logf("question %d: %s", i+1, q)
	}
	if took > firstJobWithin {
		t.Errorf("it took %s, at most %s are allowed", took, firstJobWithin)
	}
	wantAsked(t, asked)
	r.nothingLeft(t, goneWithin)
	wantQuiet(t, d)
	wantNarrow(t, r, dir)
}

// standalone returns an image of the runner that runs by itself, as the
// official one does.
func (r *rig) standalone(t *testing.T) string {
	t.Helper()
	out, err := docker(t.Context(), "create", r.image, "/bin/act_runner")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(out)
	image := "scaler-" + r.id + "-runner:latest"
	_, err = docker(t.Context(), "commit", "-c", `ENTRYPOINT ["/bin/act_runner"]`, "-c", `CMD ["daemon", "--config", "/data/config.yaml"]`, id, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the image that it is made from
		if _, err := docker(context.WithoutCancel(t.Context()), "rmi", image); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	if _, err := docker(t.Context(), "rm", id); err != nil {
		t.Fatal(err)
	}
	return image
}

// answer runs a command at a terminal, and answers each question: with what the
// answers have for it, or Enter. It returns the questions.
func (d *daemon) answer(t *testing.T, answers map[string]string, args ...string) (asked []string) {
	t.Helper()
	person, program := terminaltest.Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), firstJobWithin)
	defer cancel()
	cmd := d.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil { // so that the end of the program is the end of what is read
		t.Fatal(err)
	}
	var screen strings.Builder
	lines, said := make(chan string), make([]byte, 4096)
	go func() {
		defer close(lines)
		for {
			n, err := person.Read(said)
			if n > 0 {
				lines <- string(said[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	last := "" // the line that the cursor is in
	for {
		select {
		case text, more := <-lines:
			if !more {
				err := cmd.Wait()
				if err != nil || !strings.Contains(screen.String(), "Start the daemon:") {
					t.Fatalf("scaler init: %v\n%s", err, screen.String())
				}
				if strings.Contains(screen.String(), realgitea.Password) {
					t.Error("the password is on the screen")
				}
				t.Logf("the screen:\n%s", screen.String())
				return asked
			}
			screen.WriteString(text)
			last += strings.ReplaceAll(text, "\r", "")
			last = last[strings.LastIndex(last, "\n")+1:]
			q := prompt.FindStringSubmatch(last)
			if q == nil {
				continue
			}
			asked = append(asked, strings.TrimSuffix(last, ": "))
			last = ""
			if _, err := fmt.Fprintln(person, answers[q[1]]); err != nil {
				t.Fatal(err)
			}
		case <-time.After(promptWithin):
			_ = cmd.Process.Kill()
			t.Fatalf("no question and no end within %s\n%s", promptWithin, screen.String())
		}
	}
}

// wantAsked holds the questions to those of the transcript in the documents.
func wantAsked(t *testing.T, asked []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range asked {
		name, _, _ := strings.Cut(q, " [")
		if !strings.Contains(string(text), "\n"+name+" [") && !strings.Contains(string(text), "\n"+name+":") {
			t.Errorf("docs/quickstart.md does not show the question %q", q)
		}
	}
}

// wantNarrow checks that the token which is kept can do no more than it needs.
func wantNarrow(t *testing.T, r *rig, dir string) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(dir, "etc", "api-token"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/admin/actions/runners": http.StatusOK, "/user": http.StatusForbidden, "/user/orgs": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.gitea.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+strings.TrimSpace(string(token)))
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
