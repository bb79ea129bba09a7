package giteatest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// hookSink is a transport that keeps what is posted.
type hookSink struct {
	mu     sync.Mutex
	posted []delivery
}

type delivery struct {
	at     time.Time
	header http.Header
	body   []byte
}

func (s *hookSink) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posted = append(s.posted, delivery{time.Now(), req.Header, body})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&bytes.Buffer{}), Request: req}, nil
}

// deliveries returns what was posted so far.
func (s *hookSink) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posted)
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &hookSink{}
		c, server := newMemory(t, giteatest.Options{HookDelay: 900 * time.Millisecond, URL: "https://git.example.com/", HookClient: &http.Client{Transport: sink}})
		server.AddHook("http://scaler.test/hook", "s3cret")
		start := time.Now()
		id := c.register(t, true, "a")
		server.AddJobs(giteatest.JobSpec{Labels: []string{"a"}})
		synctest.Wait()
		if len(sink.deliveries()) != 0 {
			t.Fatal("delivered at once")
		}
		time.Sleep(time.Second)
		task := c.take(t, id)
		time.Sleep(time.Second)
		c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
		time.Sleep(time.Second)
		synctest.Wait()

		posted := sink.deliveries()
		if len(posted) != 3 {
			t.Fatalf("%d deliveries", len(posted))
		}
		if at := posted[0].at.Sub(start); at != 900*time.Millisecond {
			t.Errorf("first delivery after %s", at)
		}
		for i, action := range []string{"queued", "in_progress", "completed"} {
			checkDelivery(t, posted[i], action, "s3cret")
		}
	})
}

// checkDelivery checks one delivery's headers and body.
func checkDelivery(t *testing.T, d delivery, action, secret string) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(d.body)
	sum := hex.EncodeToString(mac.Sum(nil))
	for name, want := range map[string]string{
		"X-Gitea-Event":       "workflow_job",
		"X-Gitea-Signature":   sum,
		"X-Hub-Signature-256": "sha256=" + sum,
		"Content-Type":        "application/json",
	} {
		if got := d.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", action, name, got, want)
		}
	}
	if len(d.header.Get("X-Gitea-Delivery")) != 36 {
		t.Errorf("%s: delivery %q", action, d.header.Get("X-Gitea-Delivery"))
	}
	var got struct {
		Action      string
		WorkflowJob jobView `json:"workflow_job"`
		Repository  struct {
			FullName string `json:"full_name"`
		}
		Organization *struct{ Name string }
	}
	if err := json.Unmarshal(d.body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Action != action || got.WorkflowJob.Status != action || got.Repository.FullName != giteatest.DefaultRepo ||
		got.Organization == nil || got.WorkflowJob.HTMLURL[:24] != "https://git.example.com/" {
		t.Errorf("%s: %s", action, d.body)
	}
}

func TestCloseDropsHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &hookSink{}
		server := giteatest.New(giteatest.Options{HookDelay: time.Hour, HookClient: &http.Client{Transport: sink}})
		server.AddHook("http://scaler.test/hook", "")
		server.AddJobs(giteatest.JobSpec{})
		start := time.Now()
		server.Close()
		server.AddJobs(giteatest.JobSpec{})
		if time.Since(start) != 0 || len(sink.deliveries()) != 0 {
			t.Errorf("closed after %s, %d deliveries", time.Since(start), len(sink.deliveries()))
		}
	})
}
