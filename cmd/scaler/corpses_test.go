package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// keepsCorpses is a daemon with two corpses.
type keepsCorpses struct {
	*fakeDaemon
	names []string
}

func (k *keepsCorpses) Status() plan.Status {
	s := k.fakeDaemon.Status()
	for i, name := range k.names {
		c := plan.CorpseStatus{Name: name, Scope: "org:acme", Since: time.Now().Add(-2 * time.Hour), Why: "it may not exist"}
		if i == 0 {
			c.ID, c.Spare, c.URL = 7, true, "https://git.example.com/org/acme/settings/actions/runners/7"
		}
		s.Corpses = append(s.Corpses, c)
	}
	return s
}

func (k *keepsCorpses) ForgetCorpses(_ context.Context, _ string, f plan.ForgetCorpses) ([]string, error) {
	if f.All {
		was := k.names
		k.names = nil
		return was, nil
	}
	i := slices.Index(k.names, f.Names[0])
	if i < 0 {
		return nil, fmt.Errorf("corpse %s: %w", f.Names[0], plan.ErrNotFound)
	}
	k.names = slices.Delete(k.names, i, i+1)
	return f.Names, nil
}

func TestCorpses(t *testing.T) {
	k := &keepsCorpses{&fakeDaemon{}, []string{"scaler-1-a", "scaler-1-b", "scaler-1-c"}}
	socket := startDaemonWith(t, k, server.WithCorpses(k))
	got := mustRun(t, "corpses", "--socket", socket)
	for _, want := range []string{"scaler-1-a  7   org:acme  yes    2h", "scaler-1-b  -   org:acme  no     2h", "it may not exist", "\n  https://git.example.com/org/acme/settings/actions/runners/7\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("output lacks %q:\n%s", want, got)
		}
	}
	var list corpseList
	if err := json.Unmarshal([]byte(mustRun(t, "corpses", "--json", "--socket", socket)), &list); err != nil || len(list.Corpses) != 3 || !list.Corpses[0].Spare {
		t.Errorf("JSON: %+v, %v", list, err)
	}
	if got := mustRun(t, "corpses", "--forget", "scaler-1-b", "--socket", socket); got != "corpse scaler-1-b is forgotten\n" {
		t.Errorf("output %q", got)
	}
	if _, stderr, code := runCommand(t, "corpses", "--forget", "scaler-1-b", "--socket", socket); code != exitFailure || !strings.Contains(stderr, "not found") {
		t.Errorf("forget it again: exit code %d, %q", code, stderr)
	}
	if err := json.Unmarshal([]byte(mustRun(t, "corpses", "--forget", "--all", "--json", "--socket", socket)), &list); err != nil || !slices.Equal(list.Forgotten, []string{"scaler-1-a", "scaler-1-c"}) {
		t.Errorf("JSON: %+v, %v", list, err)
	}
	if got := mustRun(t, "corpses", "--socket", socket); !strings.HasPrefix(got, "None: ") {
		t.Errorf("output %q", got)
	}
	if got := mustRun(t, "corpses", "--forget", "--all", "--socket", socket); got != "there was no corpse to forget\n" {
		t.Errorf("output %q", got)
	}
	for _, args := range [][]string{{"scaler-1-a"}, {"--all"}, {"--forget"}, {"--forget", "--all", "scaler-1-a"}} {
		if _, _, code := runCommand(t, append([]string{"corpses", "--socket", socket}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestRunnerWithTheIdentityOfAnother(t *testing.T) {
	r := plan.RunnerStatus{Name: "linux-b", ServerID: 7, ServerName: "linux-a"}
	if got, want := atServer(r), "7, there with the name of an earlier runner: linux-a"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
