package gitea

import (
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

const adminJobs = "GET /api/v1/admin/actions/jobs"

func jobIDs(list plan.JobList) []int64 {
	var got []int64
	for _, j := range list.Jobs {
		got = append(got, j.ID)
	}
	return got
}

func TestQueuedJobs(t *testing.T) {
	tests := []struct {
		name     string
		limit    int
		pages    []reply
		want     []int64
		total    int
		complete bool
		requests int
	}{
		{"none", 10, []reply{jobsPage(0)}, nil, 0, true, 1},
		{"one page", 10, []reply{jobsPage(2, 5, 6)}, []int64{5, 6}, 2, true, 1},
		{"all pages", 0, []reply{jobsPage(70, ids(1, 50)...), jobsPage(70, ids(51, 70)...)}, ids(1, 70), 70, true, 2},
		{"the limit stops the reading", 60, []reply{jobsPage(500, ids(1, 50)...), jobsPage(500, ids(51, 100)...), jobsPage(500, ids(101, 150)...)},
			ids(1, 100), 500, false, 2},
		{"a limit of one page", 50, []reply{jobsPage(51, ids(1, 50)...)}, ids(1, 50), 51, false, 1},
		{"a job that comes twice counts once", 0, []reply{jobsPage(3, 1, 2), jobsPage(3, 2, 3)}, []int64{1, 2, 3}, 3, true, 2},
		{"a server with smaller pages", 0, []reply{jobsPage(3, 1), jobsPage(3, 2), jobsPage(3, 3)}, []int64{1, 2, 3}, 3, true, 3},
		{"jobs missing at the end", 0, []reply{jobsPage(3, 1, 2), jobsPage(3)}, []int64{1, 2}, 3, false, 2},
		{"the same page again and again", 0, []reply{jobsPage(90, 1, 2)}, []int64{1, 2}, 90, false, 2},
		{"no total", 0, []reply{jobsPage(0, 1, 2), jobsPage(0)}, []int64{1, 2}, 0, true, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{adminJobs: tt.pages})
			list, err := serve(t, s, nil).QueuedJobs(t.Context(), instance, tt.limit, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := jobIDs(list); !slices.Equal(got, tt.want) {
				t.Errorf("jobs %v, want %v", got, tt.want)
			}
			if list.Total != tt.total || list.Complete != tt.complete {
				t.Errorf("total %d complete %t, want %d %t", list.Total, list.Complete, tt.total, tt.complete)
			}
			if n := s.count(""); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			q := s.seen[0].URL.Query()
			if q.Get("status") != "queued" || q.Get("page") != "1" || q.Get("limit") != "50" {
				t.Errorf("query %v", q)
			}
		})
	}
}

func TestQueuedJobFields(t *testing.T) {
	s := newStub(map[string][]reply{"GET /api/v1/orgs/acme/actions/jobs": {jobsPage(1, 9)}})
	list, err := serve(t, s, nil).QueuedJobs(t.Context(), orgAcme, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := list.Jobs[0]
	if got.ID != 9 || got.RunID != 7 || got.Name != "build" || got.Repo != "acme/app" || got.Status != plan.JobQueued ||
		!slices.Equal(got.Labels, []string{"linux"}) || got.RunnerID != 0 ||
		!got.QueuedAt.Equal(time.Date(2026, 11, 24, 21, 43, 31, 0, time.UTC)) ||
		got.URL != "http://git.example.com/acme/app/actions/runs/7/jobs/9" {
		t.Errorf("job %+v", got)
	}
}

func TestRunningJobsRereads(t *testing.T) {
	tests := []struct {
		name     string
		pages    []reply
		want     []int64
		complete bool
		requests int
	}{
		{"complete at once", []reply{jobsPage(2, 1, 2)}, []int64{1, 2}, true, 1},
		{"a shift mended by the second reading",
			[]reply{jobsPage(3, 1, 2), jobsPage(3, 2), jobsPage(3, 1, 2, 3)}, []int64{1, 2, 3}, true, 3},
		{"what ended meanwhile is not in a complete second reading",
			[]reply{jobsPage(3, 1, 2), jobsPage(3, 2), jobsPage(2, 2, 3)}, []int64{2, 3}, true, 3},
		{"still incomplete: both readings together",
			[]reply{jobsPage(4, 1, 2), jobsPage(4, 2), jobsPage(4, 2, 3), jobsPage(4, 3)}, []int64{2, 3, 1}, false, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{adminJobs: tt.pages})
			list, err := serve(t, s, nil).RunningJobs(t.Context(), instance)
			if err != nil {
				t.Fatal(err)
			}
			if got := jobIDs(list); !slices.Equal(got, tt.want) || list.Complete != tt.complete {
				t.Errorf("jobs %v complete %t, want %v %t", got, list.Complete, tt.want, tt.complete)
			}
			if n := s.count(adminJobs); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if status := s.seen[0].URL.Query()["status"]; !slices.Equal(status, []string{"in_progress"}) {
				t.Errorf("status %q", status)
			}
		})
	}
}

// TestListErrorGivesNothing holds that a page that fails leaves no list at
// all behind, however much was read before it.
func TestListErrorGivesNothing(t *testing.T) {
	s := newStub(map[string][]reply{adminJobs: {jobsPage(70, ids(1, 50)...), {status: 400, body: `{"message":"no"}`}}})
	list, err := serve(t, s, nil).QueuedJobs(t.Context(), instance, 0, nil)
	wantError(t, err, "list queued jobs of instance", "HTTP 400 Bad Request: no")
	if list.Jobs != nil || list.Complete {
		t.Errorf("list %+v", list)
	}
}

func TestBrokenLists(t *testing.T) {
	page := jobsPage(2, 1, 2).body
	tests := []struct {
		name  string
		reply reply
		want  string
	}{
		{"half the JSON", reply{body: page[:len(page)/2]}, "broken JSON"},
		{"half the page", reply{body: page, half: true}, "unexpected EOF"},
		{"empty", reply{}, "broken JSON"},
		{"null", reply{body: "null"}, "no list in it"},
		{"no list", reply{body: `{"total_count":0}`}, "no list in it"},
		{"null in the list", reply{body: `{"jobs":[null],"total_count":1}`}, "no list in it"},
		{"an array, as Forgejo has it", reply{body: `[]`}, "JSON that is not Gitea's"},
		{"a proxy's page", reply{body: "<html>Sign in</html>", kind: "text/html"}, `"text/html" in place of JSON: is gitea.url right`},
		{"too much", reply{body: strings.Repeat(" ", maxBody+1)}, "larger than 10 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{adminJobs: {tt.reply}})
			_, err := serve(t, s, nil).QueuedJobs(t.Context(), instance, 0, nil)
			wantError(t, err, "list queued jobs of instance", tt.want)
		})
	}
}

func TestRepoOf(t *testing.T) {
	tests := []struct {
		url, want string
	}{
		{"https://git.example.com/api/v1/repos/acme/app/actions/jobs/1", "acme/app"},
		{"https://example.com/git/api/v1/repos/acme/app/actions/jobs/1", "acme/app"},
		{"https://example.com/api/v1/repos/x/y/api/v1/repos/acme/app/actions/jobs/1", "acme/app"},
		{"https://git.example.com/api/v1/repos/api/v1/actions/jobs/1", "api/v1"},
		{"https://git.example.com/api/v1/repos/a%20b/c%2Fd/actions/jobs/1", "a b/c/d"},
		{"/api/v1/repos/acme/app/actions/jobs/1", "acme/app"},
		{"https://git.example.com/api/v1/repos/acme", ""},
		{"https://git.example.com/api/v1/repos//app/actions/jobs/1", ""},
		{"https://git.example.com/acme/app/actions/jobs/1", ""},
		{"://", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got, ok := repoOf(tt.url); got != tt.want || ok != (tt.want != "") {
			t.Errorf("repoOf(%q) = %q, %t, want %q", tt.url, got, ok, tt.want)
		}
	}
}

func TestJobWithoutRepo(t *testing.T) {
	job := jobJSON(4)
	job["url"] = "elsewhere"
	var log logBuffer
	s := newStub(map[string][]reply{adminJobs: {jsonReply(200, object{"jobs": []object{job}, "total_count": 1})}})
	list, err := serve(t, s, func(o *Options) { o.Logger = log.logger() }).QueuedJobs(t.Context(), instance, 0, nil)
	if err != nil || len(list.Jobs) != 1 || list.Jobs[0].Repo != "" {
		t.Fatalf("list %+v, %v", list, err)
	}
	if !strings.Contains(log.String(), "job=4") {
		t.Errorf("log %q", log.String())
	}
}
