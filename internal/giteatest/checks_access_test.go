package giteatest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func checkVersion(t *testing.T, c client) {
	var got struct{ Version string }
	c.do(t, http.MethodGet, "/api/v1/version", nil).want(t, http.StatusOK, &got)
	r := releaseOf(c.profile())
	want := fmt.Sprintf("1.%d.", r.number)
	if r.forgejo {
		want = fmt.Sprintf("%d.", r.number)
	}
	if !strings.HasPrefix(got.Version, want) || strings.Contains(got.Version, "+gitea-") != r.forgejo {
		t.Errorf("version %q, want it to begin with %q", got.Version, want)
	}
}

func checkNoAPIToken(t *testing.T, c client) {
	for _, path := range []string{"/admin/hooks", "/user", "/user/hooks"} {
		c.do(t, http.MethodGet, "/api/v1"+path, nil).wantMessage(t, http.StatusUnauthorized, "token is required")
	}
}

func checkWrongAPIToken(t *testing.T, c client) {
	for _, scheme := range []string{"token ", "Bearer "} {
		text := "invalid username, password or token"
		if either(gitea(22, 24), forgejo(7))(releaseOf(c.profile())) {
			text = "user does not exist [uid: 0, name: ]"
		}
		if forgejo(15)(releaseOf(c.profile())) {
			text = "access token does not exist [sha: wrong]"
		}
		c.do(t, http.MethodGet, "/api/v1/admin/hooks", nil, "Authorization", scheme+"wrong").wantMessage(t, http.StatusUnauthorized, text)
	}
	c.do(t, http.MethodGet, "/api/v1/admin/hooks", nil, "Authorization", "Bearer "+c.apiToken()).want(t, http.StatusOK, nil)
}

func checkWeakAPIToken(t *testing.T, c client) {
	auth := "token " + c.limitedToken(t, "read:admin")
	text := "token does not have at least one of required scope(s), required=[%s], token scope=read:admin"
	if either(gitea(22, 22), forgejo(7))(releaseOf(c.profile())) {
		text = "token does not have at least one of required scope(s): [%s]"
	}
	c.do(t, http.MethodGet, "/api/v1/admin/hooks", nil, "Authorization", auth).want(t, http.StatusOK, nil)
	c.do(t, http.MethodDelete, "/api/v1/admin/hooks/1", nil, "Authorization", auth).
		wantMessage(t, http.StatusForbidden, fmt.Sprintf(text, "write:admin"))
	c.do(t, http.MethodGet, "/api/v1/user/hooks", nil, "Authorization", auth).
		wantMessage(t, http.StatusForbidden, fmt.Sprintf(text, "read:user"))
}

// notFound is what the release says when it has nothing to say of what is missing.
func (c client) notFound() string {
	if either(gitea(22, 24), forgejo(7))(releaseOf(c.profile())) {
		return "The target couldn't be found."
	}
	return "not found"
}

func checkUnknownViews(t *testing.T, c client) {
	c.rest(t, http.MethodGet, "/orgs/no-such/hooks", nil).wantMessage(t, http.StatusNotFound, "GetOrgByName")
	c.rest(t, http.MethodGet, "/repos/no-such/thing/hooks", nil).wantMessage(t, http.StatusNotFound, "GetUserByName")
	var who struct{ Login string }
	c.rest(t, http.MethodGet, "/user", nil).want(t, http.StatusOK, &who)
	c.rest(t, http.MethodGet, "/orgs/"+who.Login+"/hooks", nil).wantMessage(t, http.StatusNotFound, "GetOrgByName")
	c.rest(t, http.MethodGet, "/repos/"+who.Login+"/no-such/hooks", nil).wantMessage(t, http.StatusNotFound, c.notFound())
}

// mint asks for the registration token of a scope in the release's way.
func (c client) mint(t *testing.T, prefix string) string {
	t.Helper()
	var got struct{ Token string }
	method, path := http.MethodGet, prefix+"/actions/runners/registration-token"
	switch {
	case gitea(24)(releaseOf(c.profile())):
		method = http.MethodPost
	case prefix == "/admin":
		path = "/admin/runners/registration-token"
	}
	c.rest(t, method, path, nil).want(t, http.StatusOK, &got)
	return got.Token
}

func checkMintByPost(t *testing.T, c client) {
	for range 2 {
		if got := c.mint(t, "/admin"); got != c.registrationToken() {
			t.Errorf("token %q, want the instance's", got)
		}
	}
}

func checkMintByGet(t *testing.T, c client) {
	var got struct{ Token string }
	for range 2 {
		c.rest(t, http.MethodGet, "/admin/runners/registration-token", nil).want(t, http.StatusOK, &got)
		if got.Token != c.registrationToken() {
			t.Errorf("token %q, want the instance's", got.Token)
		}
	}
	c.rest(t, http.MethodGet, "/user/actions/runners/registration-token", nil).want(t, http.StatusOK, nil)
}

func checkNoMint(t *testing.T, c client) {
	method := http.MethodPost
	if gitea(26)(releaseOf(c.profile())) {
		method = http.MethodGet
	}
	for _, prefix := range []string{"/admin", "/user"} {
		a := c.rest(t, method, prefix+"/actions/runners/registration-token", nil)
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d %s", prefix, a.status, a.body)
		}
	}
}

func checkRepoScope(t *testing.T, c client) {
	mine, _ := c.addJobs(t, 1, "repo-scope")
	c.addJobs(t, 1, "repo-scope")
	id := c.registerAt(t, c.mint(t, "/repos/"+mine), false, "repo-scope")
	c.take(t, id)
	if task, _ := c.fetch(t, id, "0"); task != "" {
		t.Error("took a job of another repository")
	}
	if runnersListed(releaseOf(c.profile())) {
		c.rest(t, http.MethodGet, "/repos/"+mine+"/actions/runners/"+id.ID, nil).want(t, http.StatusOK, nil)
	}
	if !gitea(25)(releaseOf(c.profile())) {
		return
	}
	if jobs, _, _ := c.jobs(t, "/repos/"+mine, "?status=in_progress"); len(jobs) != 1 {
		t.Errorf("jobs in progress: %+v", jobs)
	}
}

func checkUnknownEvent(t *testing.T, c client) {
	defer c.dropHooks(t, "/user")
	wanted := []string{}
	if gitea(24)(releaseOf(c.profile())) {
		wanted = append(wanted, "workflow_job")
	}
	made := c.addHook(t, "/user", hookBody("http://127.0.0.1:1/hook", "", "nonsense", "workflow_job"))
	if !slices.Equal(made.Events, wanted) {
		t.Errorf("events %v, want %v", made.Events, wanted)
	}
}

func checkUnknownRoutes(t *testing.T, c client) {
	a := c.rest(t, http.MethodGet, "/no-such-thing", nil)
	if a.want(t, http.StatusNotFound, nil); a.body != "404 page not found\n" {
		t.Errorf("body %q", a.body)
	}
	a = c.rest(t, http.MethodPut, "/user/hooks", nil)
	if a.want(t, http.StatusMethodNotAllowed, nil); !strings.Contains(strings.Join(a.header.Values("Allow"), ","), "GET") {
		t.Errorf("allow %q", a.header.Values("Allow"))
	}
	c.do(t, http.MethodGet, "/api/actions/runner.v1.RunnerService/Register", nil).want(t, http.StatusMethodNotAllowed, nil)
}
