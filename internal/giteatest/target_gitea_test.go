package giteatest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/realgitea"
)

// giteaTarget is a real server with a database of its own.
type giteaTarget struct {
	server  *realgitea.Server
	release giteatest.Profile
	client  client
	repos   int
}

// newGiteaTarget starts SCALER_GITEA_BIN, or skips the test. It is of the zero
// profile's release.
func newGiteaTarget(t *testing.T) *giteaTarget {
	return startTarget(t, realgitea.Default(t), giteatest.New(giteatest.Options{}).Profile())
}

// startTarget starts a real server of a release.
func startTarget(t *testing.T, b realgitea.Binary, release giteatest.Profile) *giteaTarget {
	g := &giteaTarget{server: realgitea.StartBinary(t, b, "127.0.0.1", testRegistrationToken), release: release}
	g.client = client{g, &http.Client{Timeout: callTimeout}}
	return g
}

func (g *giteaTarget) profile() giteatest.Profile { return g.release }
func (g *giteaTarget) base() string               { return g.server.URL }
func (g *giteaTarget) registrationToken() string  { return g.server.RegistrationToken }
func (g *giteaTarget) apiToken() string           { return g.server.APIToken }

// addJobs makes a repository with a workflow that runs at once.
func (g *giteaTarget) addJobs(t *testing.T, n int, labels ...string) (string, []int64) {
	t.Helper()
	g.repos++
	repo := fmt.Sprintf("%s/r%d", realgitea.Admin, g.repos)
	g.server.CreateRepo(t, repo)
	var workflow strings.Builder
	workflow.WriteString("on: push\njobs:\n")
	for i := range n {
		fmt.Fprintf(&workflow, "  job%d:\n    runs-on: [%s]\n    steps:\n      - run: echo\n", i, strings.Join(labels, ", "))
	}
	g.server.AddWorkflow(t, repo, "test.yaml", workflow.String())

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		ids, found := g.queued(ctx, t, repo)
		if found == n {
			return repo, ids
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d jobs queued", found, n)
		}
	}
}

// queued returns how many jobs a new repository has, with their ids where the
// server lists them in Gitea's way.
func (g *giteaTarget) queued(ctx context.Context, t *testing.T, repo string) ([]int64, int) {
	t.Helper()
	if gitea(25)(releaseOf(g.release)) {
		jobs, total, _ := g.client.jobs(t, "/repos/"+repo, "?status=queued")
		ids := make([]int64, len(jobs))
		for i, j := range jobs {
			ids[i] = j.ID
		}
		return ids, total
	}
	jobs, err := g.server.HeadJobs(ctx, repo)
	if err != nil {
		t.Fatal(err)
	}
	return nil, len(jobs)
}

func (g *giteaTarget) resetUserToken(t *testing.T) { g.server.ResetUserToken(t) }

func (g *giteaTarget) cancel(t *testing.T, repo string, ids []int64) {
	t.Helper()
	run := "/" + repo + "/actions/runs/1" // of a new repository
	if len(ids) > 0 {
		page, err := url.Parse(g.client.job(t, repo, ids[0]).HTMLURL)
		if err != nil {
			t.Fatal(err)
		}
		run, _, _ = strings.Cut(page.Path, "/jobs/")
	}
	g.server.Submit(t, run+"/cancel", nil)
}

func (g *giteaTarget) limitedToken(t *testing.T, scope string) string {
	t.Helper()
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte(realgitea.Admin+":"+realgitea.Password))
	var got struct {
		Token string `json:"sha1"`
	}
	g.client.do(t, http.MethodPost, "/api/v1/users/"+realgitea.Admin+"/tokens",
		encode(t, map[string]any{"name": scope, "scopes": []string{scope}}),
		"Authorization", auth, "Content-Type", "application/json").want(t, http.StatusCreated, &got)
	return got.Token
}
