package giteatest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/realgitea"
)

// TestHookEndpoints runs the checks of webhooks against the in-memory server as
// each release and, as TestConformance does, against real ones.
func TestHookEndpoints(t *testing.T) {
	for _, p := range giteatest.Profiles() {
		t.Run("fake/"+p.String(), func(t *testing.T) {
			target := newFakeTarget(t, p)
			t.Cleanup(target.server.Close)
			checkHooks(t, client{target, &http.Client{Timeout: callTimeout}})
		})
	}
	t.Run("gitea", func(t *testing.T) { checkHooks(t, newGiteaTarget(t).client) })
	t.Run("real", func(t *testing.T) {
		for _, b := range realgitea.Binaries(t) {
			t.Run(b.Profile, func(t *testing.T) { checkHooks(t, startTarget(t, b, mustProfile(t, b.Profile)).client) })
		}
	})
}

// jobEvents are the releases with events of jobs.
func (c client) jobEvents() bool { return gitea(24)(releaseOf(c.profile())) }

// event is one that hooks of the release may be for, and not a push.
func (c client) event() string {
	switch {
	case c.jobEvents():
		return "workflow_job"
	case gitea(23)(releaseOf(c.profile())):
		return "status"
	}
	return "release"
}

// hookView is a webhook in REST.
type hookView struct {
	ID     int64
	Type   string
	Active bool
	Config map[string]string
	Events []string
}

func checkHooks(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 1, "hooks")
	for _, prefix := range []string{"/admin", "/user", "/repos/" + repo} {
		t.Run(prefix, func(t *testing.T) { checkHookRecord(t, c, prefix) })
	}
	t.Run("kinds of the instance", func(t *testing.T) { checkHookKinds(t, c) })
	t.Run("refusals", func(t *testing.T) { checkHookRefusals(t, c, "/repos/"+repo) })
	t.Run("test", func(t *testing.T) { checkHookTest(t, c, "/repos/"+repo) })
	if c.jobEvents() {
		t.Run("events", func(t *testing.T) { checkHookEvents(t, c) })
	}
}

// hookBody asks for a hook.
func hookBody(url, secret string, events ...string) map[string]any {
	return map[string]any{"type": "gitea", "active": true, "events": events,
		"config": map[string]string{"url": url, "content_type": "json", "secret": secret}}
}

// hooks lists the hooks below a prefix.
func (c client) hooks(t *testing.T, prefix, query string) []hookView {
	t.Helper()
	var list []hookView
	a := c.rest(t, http.MethodGet, prefix+"/hooks"+query, nil)
	a.want(t, http.StatusOK, &list)
	if query == "" && c.hooksPaged(prefix) && a.header.Get("X-Total-Count") != fmt.Sprint(len(list)) {
		t.Errorf("X-Total-Count is %q for %d hooks", a.header.Get("X-Total-Count"), len(list))
	}
	return list
}

// hooksPaged reports whether the hooks below the prefix come in pages.
func (c client) hooksPaged(prefix string) bool {
	return prefix != "/admin" || either(gitea(26), forgejo(14))(releaseOf(c.profile()))
}

// addHook makes a hook; one of the instance that says nothing else is a system
// webhook.
func (c client) addHook(t *testing.T, prefix string, body map[string]any) hookView {
	t.Helper()
	if config := body["config"].(map[string]string); prefix == "/admin" && config["is_system_webhook"] == "" {
		config["is_system_webhook"] = "true"
	}
	var h hookView
	c.rest(t, http.MethodPost, prefix+"/hooks", body).want(t, http.StatusCreated, &h)
	return h
}

// dropHooks deletes all hooks below prefixes.
func (c client) dropHooks(t *testing.T, prefixes ...string) {
	for _, prefix := range prefixes {
		for _, h := range c.hooks(t, prefix, "?type=all") {
			c.rest(t, http.MethodDelete, fmt.Sprintf("%s/hooks/%d", prefix, h.ID), nil).want(t, http.StatusNoContent, nil)
		}
	}
}

func checkHookRecord(t *testing.T, c client, prefix string) {
	if list := c.hooks(t, prefix, ""); len(list) != 0 {
		t.Fatalf("hooks %+v", list)
	}
	defer c.dropHooks(t, prefix)
	const url = "http://127.0.0.1:1/hook"
	made := c.addHook(t, prefix, hookBody(url, "secret-one", c.event()))
	want := hookView{made.ID, "gitea", true, map[string]string{"url": url, "content_type": "json"}, []string{c.event()}}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("made %+v, want %+v", made, want)
	}
	one := fmt.Sprintf("%s/hooks/%d", prefix, made.ID)
	var got hookView
	if c.rest(t, http.MethodGet, one, nil).want(t, http.StatusOK, &got); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	second := c.addHook(t, prefix, hookBody(url, "", c.event()))
	if list := c.hooks(t, prefix, ""); len(list) != 2 || list[0].ID != made.ID {
		t.Errorf("list %+v", list)
	}
	if list := c.hooks(t, prefix, "?limit=1&page=2"); !c.hooksPaged(prefix) {
		if len(list) != 2 {
			t.Errorf("page %+v of a list that has none", list)
		}
	} else if len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("page %+v", list)
	}
	if list := c.hooks(t, prefix, "?limit=1&page=3"); c.hooksPaged(prefix) && len(list) != 0 {
		t.Errorf("page %+v", list)
	}
	var edited hookView // events that are not named are reset
	c.rest(t, http.MethodPatch, one, map[string]any{"active": false, "config": map[string]string{"url": url + "2"}}).want(t, http.StatusOK, &edited)
	if edited.Active || edited.Config["url"] != url+"2" || !slices.Equal(edited.Events, []string{"push"}) {
		t.Errorf("edited %+v", edited)
	}
	c.rest(t, http.MethodDelete, one, nil).want(t, http.StatusNoContent, nil)
	c.rest(t, http.MethodDelete, one, nil).wantMessage(t, http.StatusNotFound, c.notFound())
	c.rest(t, http.MethodGet, one, nil).wantMessage(t, http.StatusNotFound, c.notFound())
}

func checkHookKinds(t *testing.T, c client) {
	defer c.dropHooks(t, "/admin")
	body := hookBody("http://127.0.0.1:1/hook", "", c.event())
	body["config"].(map[string]string)["is_system_webhook"] = "false"
	initial := c.addHook(t, "/admin", body)
	system := c.addHook(t, "/admin", hookBody("http://127.0.0.1:1/hook", "", c.event()))
	lists := map[string][]int64{"": {system.ID}, "?type=system": {system.ID}, "?type=default": {initial.ID}, "?type=all": {initial.ID, system.ID}}
	if !gitea(24)(releaseOf(c.profile())) {
		lists["?type=default"], lists["?type=all"] = []int64{system.ID}, []int64{system.ID}
	}
	for query, want := range lists {
		var got []int64
		for _, h := range c.hooks(t, "/admin", query) {
			got = append(got, h.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", query, got, want)
		}
	}
}

func checkHookRefusals(t *testing.T, c client, prefix string) {
	bad := hookBody("ftp://x/", "", c.event())
	if either(gitea(24), forgejo(14))(releaseOf(c.profile())) {
		c.rest(t, http.MethodPost, prefix+"/hooks", bad).wantMessage(t, http.StatusUnprocessableEntity, "Invalid url")
	} else {
		c.rest(t, http.MethodPost, prefix+"/hooks", bad).want(t, http.StatusCreated, nil)
		c.dropHooks(t, prefix)
	}
	bad["config"] = map[string]string{"url": "http://x/", "content_type": "yaml"}
	c.rest(t, http.MethodPost, prefix+"/hooks", bad).wantMessage(t, http.StatusUnprocessableEntity, "Invalid content type")
	bad["config"] = map[string]string{"content_type": "json"}
	c.rest(t, http.MethodPost, prefix+"/hooks", bad).wantMessage(t, http.StatusUnprocessableEntity, "Missing config option: url")
	c.rest(t, http.MethodPost, prefix+"/hooks/999/tests", nil).wantMessage(t, http.StatusNotFound, c.notFound())
	c.rest(t, http.MethodGet, "/orgs/nobody/hooks", nil).wantMessage(t, http.StatusNotFound, "GetOrgByName")
	for _, other := range []string{"/admin", "/user"} {
		if a := c.rest(t, http.MethodPost, other+"/hooks/1/tests", nil); a.status != http.StatusNotFound {
			t.Errorf("test of a hook below %s: %d", other, a.status)
		}
	}
}

// sink takes deliveries by HTTP.
func sink(t *testing.T) (url string, taken <-chan delivery) {
	t.Helper()
	deliveries := make(chan delivery, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		deliveries <- delivery{time.Now(), r.Header, body}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hook", deliveries
}

// next waits for a delivery.
func next(t *testing.T, taken <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-taken:
		return d
	case <-time.After(callTimeout):
		t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// checkHookTest: a test is a push, which only a hook for pushes gets, and a
// changed secret is not taken over.
func checkHookTest(t *testing.T, c client, prefix string) {
	defer c.dropHooks(t, prefix)
	url, taken := sink(t)
	quiet := c.addHook(t, prefix, hookBody(url, "secret-of-another", c.event()))
	h := c.addHook(t, prefix, hookBody(url, "secret-one", c.event()))
	c.rest(t, http.MethodPatch, fmt.Sprintf("%s/hooks/%d", prefix, h.ID), hookBody(url, "secret-two", c.event(), "push")).want(t, http.StatusOK, nil)
	tested := []int64{quiet.ID, h.ID}
	if forgejo(14)(releaseOf(c.profile())) {
		tested = tested[1:] // the other one would get it too
	}
	for _, id := range tested {
		c.rest(t, http.MethodPost, fmt.Sprintf("%s/hooks/%d/tests", prefix, id), nil).want(t, http.StatusNoContent, nil)
	}
	d := next(t, taken)
	mac := hmac.New(sha256.New, []byte("secret-one"))
	mac.Write(d.body)
	if got := d.header.Get("X-Gitea-Signature"); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", got)
	}
	target := "" // which older releases do not name
	if gitea(24)(releaseOf(c.profile())) {
		target = "repository"
	}
	if d.header.Get("X-Gitea-Event") != "push" || d.header.Get("X-Gitea-Hook-Installation-Target-Type") != target {
		t.Errorf("header %v", d.header)
	}
	if len(taken) != 0 {
		t.Error("another delivery")
	}
}

// checkHookEvents: a job is told of to the hooks of its own scopes only.
func checkHookEvents(t *testing.T, c client) {
	url, taken := sink(t)
	other, _ := c.addJobs(t, 1, "elsewhere")
	defer c.dropHooks(t, "/admin", "/user", "/repos/"+other)
	c.addHook(t, "/repos/"+other, hookBody(url, "", "workflow_job"))
	c.addHook(t, "/user", hookBody(url, "", "push"))
	c.addHook(t, "/admin", hookBody(url, "s3cret", "workflow_job"))
	for range 2 { // by the time the second is told of, all of the first has come
		repo, _ := c.addJobs(t, 1, "told")
		for told := false; !told; {
			d := next(t, taken)
			if d.header.Get("X-Gitea-Event") == "push" || strings.Contains(string(d.body), `"full_name": "`+other+`"`) {
				continue // of the real server's commits, and late ones
			}
			if d.header.Get("X-Gitea-Hook-Installation-Target-Type") != "system" || len(d.header.Get("X-Gitea-Signature")) != 64 {
				t.Fatalf("header %v, body %s", d.header, d.body)
			}
			told = strings.Contains(string(d.body), `"full_name": "`+repo+`"`)
		}
	}
}

// TestDefaultHooks: a hook of the instance that is no system webhook gets no
// events.
func TestDefaultHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &hookSink{}
		c, server := newMemory(t, giteatest.Options{HookClient: &http.Client{Transport: sink}})
		body := hookBody("http://scaler.test/hook", "", "workflow_job")
		body["config"].(map[string]string)["is_system_webhook"] = "false"
		c.addHook(t, "/admin", body)
		server.AddJobs(giteatest.JobSpec{})
		synctest.Wait()
		if n := len(sink.deliveries()); n != 0 {
			t.Errorf("%d deliveries", n)
		}
	})
}
