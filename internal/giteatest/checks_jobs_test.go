package giteatest_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func checkNoJobs(t *testing.T, c client) {
	for _, prefix := range []string{"/admin", "/user"} {
		for _, path := range []string{"/actions/jobs", "/actions/runners/jobs", "/runners/jobs"} {
			if a := c.rest(t, http.MethodGet, prefix+path, nil); a.status != http.StatusNotFound {
				t.Errorf("%s%s: status %d", prefix, path, a.status)
			}
		}
	}
}

func checkLifecycle(t *testing.T, c client) {
	id := c.register(t, false, "life")
	repo, ids := c.addJobs(t, 1, "life")
	j := c.job(t, repo, ids[0])
	if j.Status != "queued" || j.Conclusion != "" || j.RunnerID != 0 || j.RunAttempt != 0 || j.StartedAt.Unix() != 0 || j.CompletedAt.Unix() != 0 {
		t.Errorf("queued job %+v", j)
	}
	if time.Since(j.CreatedAt).Abs() > time.Minute || len(j.Labels) != 1 || j.Labels[0] != "life" {
		t.Errorf("queued job %+v", j)
	}
	if want := c.base() + "/api/v1/repos/" + repo + "/actions/jobs/" + strconv.FormatInt(j.ID, 10); j.URL != want {
		t.Errorf("url %s, want %s", j.URL, want)
	}
	task := c.take(t, id)
	j = c.job(t, repo, ids[0])
	if j.Status != "in_progress" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.RunnerName != id.Name || j.RunAttempt != 1 {
		t.Errorf("picked job %+v", j)
	}
	if a := c.report(t, id, task, ""); a.status != http.StatusOK || strings.Contains(a.body, "result") {
		t.Errorf("report without a result: %d %s", a.status, a.body)
	}
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	j = c.job(t, repo, ids[0])
	if j.Status != "completed" || j.Conclusion != "success" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.CompletedAt.Unix() == 0 {
		t.Errorf("finished job %+v", j)
	}
}

func checkStatusRepeated(t *testing.T, c client) {
	id := c.register(t, false, "status")
	repo, _ := c.addJobs(t, 3, "status")
	done := c.take(t, id)
	c.report(t, id, done, "RESULT_FAILURE").want(t, http.StatusOK, nil)
	c.take(t, id)
	for query, want := range map[string]int{
		"":                                     3,
		"?status=queued":                       1,
		"?status=in_progress":                  1,
		"?status=queued&status=in_progress":    2,
		"?status=completed":                    1,
		"?status=failure":                      1,
		"?status=success":                      0,
		"?status=waiting":                      0,
		"?status=completed&status=in_progress": 2,
	} {
		jobs, total, header := c.jobs(t, "/repos/"+repo, query)
		if len(jobs) != want || total != want || !c.counts(header, want) {
			t.Errorf("%s: %d jobs, total %d, X-Total-Count %s, want %d", query, len(jobs), total, header.Get("X-Total-Count"), want)
		}
	}
}

func checkBadStatus(t *testing.T, c client) {
	for _, query := range []string{"?status=running", "?status=queued&status=x"} {
		name := query[strings.LastIndexByte(query, '=')+1:]
		text := "Invalid status " + name
		if releaseOf(c.profile()).number >= 27 {
			text = "invalid status " + name
		}
		c.rest(t, http.MethodGet, "/admin/actions/jobs"+query, nil).wantMessage(t, http.StatusBadRequest, text)
	}
}

// counts reports whether the header of a list of jobs says how many there are,
// which it does not in all releases.
func (c client) counts(header http.Header, n int) bool {
	text := ""
	if gitea(26)(releaseOf(c.profile())) {
		text = strconv.Itoa(n)
	}
	return header.Get("X-Total-Count") == text
}

func checkPageCap(t *testing.T, c client) {
	const n = 53
	repo, _ := c.addJobs(t, n, "page-cap")
	pages := map[string]int{
		"?limit=1000&page=1": 50,
		"?limit=1000&page=2": 3,
		"?limit=50&page=3":   0,
		"?limit=7&page=1":    7,
		"?limit=0&page=1":    30,
		"?limit=1000":        50,
		"?limit=7":           7,
		"":                   30,
		"?limit=0":           30,
		"?limit=-1&page=-1":  30,
	}
	if gitea(25, 25)(releaseOf(c.profile())) { // who asks for no page gets all
		for _, query := range []string{"?limit=1000", "?limit=7", "", "?limit=0", "?limit=-1&page=-1"} {
			pages[query] = n
		}
	}
	for query, want := range pages {
		jobs, total, header := c.jobs(t, "/repos/"+repo, query)
		if len(jobs) != want || total != n || !c.counts(header, n) {
			t.Errorf("%q: %d jobs, total %d, X-Total-Count %s, want %d of %d", query, len(jobs), total, header.Get("X-Total-Count"), want, n)
		}
	}
	all, total, _ := c.jobs(t, "/user", "?limit=1&page=1")
	if total < n || len(all) != 1 {
		t.Errorf("user's jobs: %d, total %d", len(all), total)
	}
}

func checkNoPages(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 3, "no-pages")
	if _, _, header := c.jobs(t, "/repos/"+repo, "?limit=1&page=2"); header.Get("Link") != "" || header.Get("X-Total-Count") != "" {
		t.Errorf("header %v", header)
	}
}

func checkPages(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 53, "pages")
	_, _, header := c.jobs(t, "/repos/"+repo, "?limit=20&page=2")
	links := regexp.MustCompile(`page=(\d+)>; rel="(\w+)"`).FindAllStringSubmatch(header.Get("Link"), -1)
	got := map[string]string{}
	for _, link := range links {
		got[link[2]] = link[1]
	}
	if want := map[string]string{"next": "3", "last": "3", "first": "1", "prev": "1"}; !maps.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
}

func checkJobOrder(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 9, "job-order")
	jobs, _, _ := c.jobs(t, "/repos/"+repo, "")
	if !slices.IsSortedFunc(jobs, func(a, b jobView) int { return int(a.ID - b.ID) }) {
		t.Errorf("jobs %+v", jobs)
	}
}

func checkTasks(t *testing.T, c client) {
	id := c.register(t, false, "tasks")
	repo, _ := c.addJobs(t, 2, "tasks")
	task := c.take(t, id)
	var got struct {
		Tasks []struct {
			ID     int64
			Status string
		} `json:"workflow_runs"`
		Total int `json:"total_count"`
	}
	c.rest(t, http.MethodGet, "/repos/"+repo+"/actions/tasks", nil).want(t, http.StatusOK, &got)
	if got.Total != 1 || len(got.Tasks) != 1 || strconv.FormatInt(got.Tasks[0].ID, 10) != task || got.Tasks[0].Status != "running" {
		t.Errorf("tasks %+v, want %s of two jobs", got, task)
	}
}
