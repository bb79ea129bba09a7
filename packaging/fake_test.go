package packaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fakeGitea is a running scaler fake-gitea.
type fakeGitea struct{ url string }

// fakeState is what it tells of itself.
type fakeState struct {
	Jobs    map[string]int `json:"jobs"`
	Runners []struct {
		Name   string `json:"name"`
		Online bool   `json:"online"`
		Busy   bool   `json:"busy"`
	} `json:"runners"`
	Counts struct {
		Registrations int `json:"registrations"`
	} `json:"counts"`
}

var patient = &http.Client{Timeout: 10 * time.Second}

func (g fakeGitea) state(t *testing.T) (s fakeState) {
	t.Helper()
	answer, err := patient.Get(g.url + "/fake/state")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// busy returns the names of the runners that have a job.
func (s fakeState) busy() (names []string) {
	for _, r := range s.Runners {
		if r.Busy {
			names = append(names, r.Name)
		}
	}
	return names
}

// queue adds a job.
func (g fakeGitea) queue(t *testing.T, label string, lasts time.Duration) {
	t.Helper()
	body := fmt.Sprintf(`{"labels": [%q], "duration_ms": %d}`, label, lasts.Milliseconds())
	answer, err := patient.Post(g.url+"/fake/jobs", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("queue a job: %s", answer.Status)
	}
}

// eventually waits until something is so, for two minutes at most. The last
// words are the reason that it is not.
func eventually(t *testing.T, what string, so func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok, why := so()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes: %s", what, why)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// succeeded waits until so many jobs have ended well and no other is left.
func (g fakeGitea) succeeded(t *testing.T, jobs int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d jobs succeed", jobs), func() (bool, string) {
		s := g.state(t)
		all := 0
		for _, n := range s.Jobs {
			all += n
		}
		return s.Jobs["success"] == jobs && all == jobs, fmt.Sprintf("jobs %v", s.Jobs)
	})
}

// daemonStatus is what the tests look at of scaler status --json.
type daemonStatus struct {
	Version  string                     `json:"version"`
	Instance string                     `json:"instance"`
	Problems []struct{ Message string } `json:"problems"`
	Runners  []struct {
		Name, Phase, Container string
	} `json:"runners"`
}

// parseStatus reads a status, after what else was printed before it.
func parseStatus(out string) (s daemonStatus, err error) {
	at := strings.Index(out, "{")
	if at < 0 {
		return s, fmt.Errorf("no status in %q", out)
	}
	return s, json.NewDecoder(bytes.NewReader([]byte(out[at:]))).Decode(&s)
}
