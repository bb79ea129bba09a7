package giteatest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	giteaAdmin    = "root1"
	giteaPassword = "admin-password-1"
)

// giteaTarget is a real Gitea with a database of its own.
type giteaTarget struct {
	url    string
	token  string
	web    *http.Client // signed in on the pages
	client client
	repos  int
}

// newGiteaTarget starts SCALER_GITEA_BIN, or skips the test.
func newGiteaTarget(t *testing.T) *giteaTarget {
	bin := os.Getenv("SCALER_GITEA_BIN")
	if bin == "" {
		t.Skip("SCALER_GITEA_BIN does not name a Gitea binary")
	}
	dir := t.TempDir()
	g := &giteaTarget{url: "http://" + freeAddress(t)}
	g.client = client{g, &http.Client{Timeout: callTimeout}}
	config := writeGiteaConfig(t, dir, g.url)
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin, append([]string{"--config", config}, args...)...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GITEA_WORK_DIR=" + dir,
			"GITEA_RUNNER_REGISTRATION_TOKEN=" + testRegistrationToken,
		}
		return cmd
	}
	if out, err := run("migrate").CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	out, err := run("admin", "user", "create", "--admin", "--username", giteaAdmin, "--password", giteaPassword,
		"--email", "root@example.invalid", "--must-change-password=false",
		"--access-token", "--access-token-name", "all", "--access-token-scopes", "all").CombinedOutput()
	if err != nil {
		t.Fatalf("create admin: %v\n%s", err, out)
	}
	g.token = regexp.MustCompile(`\b[0-9a-f]{40}\b`).FindString(string(out))
	serveGitea(t, run("web"), g.url)
	g.signIn(t)
	return g
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writeGiteaConfig writes a minimal app.ini and returns its path.
func writeGiteaConfig(t *testing.T, dir, base string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	static := os.Getenv("SCALER_GITEA_STATIC")
	if static == "" {
		static = dir
	}
	ini := fmt.Sprintf(`RUN_MODE = prod
WORK_PATH = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = %[2]s
HTTP_PORT = %[3]s
ROOT_URL = %[4]s/
STATIC_ROOT_PATH = %[5]s
DISABLE_SSH = true
OFFLINE_MODE = true
APP_DATA_PATH = %[1]s/data
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = conformance-conformance-conformance
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[oauth2]
ENABLED = false
JWT_SECRET = Y29uZm9ybWFuY2UtY29uZm9ybWFuY2UtY29uZm9ybWE
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = true
[cron.update_checker]
ENABLED = false
[log]
MODE = file
LEVEL = Warn
ROOT_PATH = %[1]s/log
`, dir, host, port, base, static)
	file := filepath.Join(dir, "app.ini")
	if err := os.WriteFile(file, []byte(ini), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// serveGitea starts the server, waits until it answers, and stops it after the
// test.
func serveGitea(t *testing.T, cmd *exec.Cmd, base string) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		resp, err := http.Get(base + "/api/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-poll.C:
		case err := <-exited:
			exited <- err
			t.Fatalf("Gitea ended: %v", err)
		case <-ctx.Done():
			t.Fatal("Gitea does not answer")
		}
	}
}

// signIn signs the admin in on the pages, for what REST cannot do.
func (g *giteaTarget) signIn(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.web = &http.Client{Jar: jar, Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	g.submit(t, g.url+"/user/login", url.Values{"user_name": {giteaAdmin}, "password": {giteaPassword}})
}

// submit posts a form to a page.
func (g *giteaTarget) submit(t *testing.T, page string, form url.Values) {
	t.Helper()
	resp, err := g.web.PostForm(page, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		t.Fatalf("post to %s: %s", page, resp.Status)
	}
}

func (g *giteaTarget) base() string              { return g.url }
func (g *giteaTarget) registrationToken() string { return testRegistrationToken }
func (g *giteaTarget) apiToken() string          { return g.token }

// addJobs makes a repository with a workflow that runs at once.
func (g *giteaTarget) addJobs(t *testing.T, n int, labels ...string) (string, []int64) {
	t.Helper()
	g.repos++
	name := fmt.Sprintf("r%d", g.repos)
	repo := giteaAdmin + "/" + name
	g.client.rest(t, http.MethodPost, "/user/repos", map[string]any{"name": name, "auto_init": true}).want(t, http.StatusCreated, nil)
	var workflow strings.Builder
	workflow.WriteString("on: push\njobs:\n")
	for i := range n {
		fmt.Fprintf(&workflow, "  job%d:\n    runs-on: [%s]\n    steps:\n      - run: echo\n", i, strings.Join(labels, ", "))
	}
	g.client.rest(t, http.MethodPost, "/repos/"+repo+"/contents/.gitea/workflows/test.yaml", map[string]any{
		"message": "add", "content": base64.StdEncoding.EncodeToString([]byte(workflow.String())),
	}).want(t, http.StatusCreated, nil)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		jobs, total, _ := g.client.jobs(t, "/repos/"+repo, "?status=queued")
		if total == n {
			ids := make([]int64, len(jobs))
			for i, j := range jobs {
				ids[i] = j.ID
			}
			return repo, ids
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d jobs queued", total, n)
		}
	}
}

func (g *giteaTarget) resetUserToken(t *testing.T) {
	t.Helper()
	g.submit(t, g.url+"/user/settings/actions/runners/reset_registration_token", nil)
}

func (g *giteaTarget) cancel(t *testing.T, j jobView) {
	t.Helper()
	run, _, _ := strings.Cut(j.HTMLURL, "/jobs/")
	g.submit(t, run+"/cancel", nil)
}

func (g *giteaTarget) limitedToken(t *testing.T, scope string) string {
	t.Helper()
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte(giteaAdmin+":"+giteaPassword))
	var got struct {
		Token string `json:"sha1"`
	}
	g.client.do(t, http.MethodPost, "/api/v1/users/"+giteaAdmin+"/tokens",
		encode(t, map[string]any{"name": scope, "scopes": []string{scope}}),
		"Authorization", auth, "Content-Type", "application/json").want(t, http.StatusCreated, &got)
	return got.Token
}
