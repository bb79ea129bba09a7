package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestReap(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{findings: []plan.Finding{
		{Kind: "runner in Gitea", Name: "scaler-1-linux-a", Reason: "ours by its name", Due: time.Now().Add(time.Hour)},
		{Kind: "record", Name: "scaler-1-linux-b", Reason: "its container is gone", Due: time.Now().Add(-time.Hour)},
	}})
	got := mustRun(t, "reap", "--dry-run", "--socket", socket)
	for _, want := range []string{"runner in Gitea  scaler-1-linux-a  in 59m59s", "record           scaler-1-linux-b  due  ", "its container is gone"} {
		if !strings.Contains(got, want) {
			t.Errorf("output lacks %q:\n%s", want, got)
		}
	}
	var found []plan.Finding
	if err := json.Unmarshal([]byte(mustRun(t, "reap", "--dry-run", "--json", "--socket", socket)), &found); err != nil || len(found) != 2 {
		t.Errorf("JSON: %+v, %v", found, err)
	}
	if got := mustRun(t, "reap", "--socket", socket); !strings.Contains(got, "Nothing found") {
		t.Errorf("output:\n%s", got)
	}
	failing := startDaemon(t, &fakeDaemon{err: errors.New("list runners of instance: gitea is down")})
	if _, stderr, code := runCommand(t, "reap", "--socket", failing); code != exitFailure || !strings.Contains(stderr, "gitea is down") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
