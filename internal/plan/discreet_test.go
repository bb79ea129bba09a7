package plan

import (
	"encoding/json"
	"strings"
	"testing"
)

// Whatever part of a state has lines of a log, they are not there any more, and
// the state itself is as it was.
func TestWithoutLog(t *testing.T) {
	const told = "its runner never came online, exit code 1" + LogMark + "Top5ecretOutput; try again later"
	s := Status{
		Problems: []Problem{{Subject: "pool linux", Message: told}, {Subject: "docker", Message: "is gone"}},
		Pools:    []PoolStatus{{Name: "linux", Hold: told}, {Name: "arm", Hold: "it waits"}},
		Runners:  []RunnerStatus{{Name: "a", Note: told, History: []Step{{Note: "made"}, {Note: told}, {Note: told}}}, {Name: "b", Note: "idle"}},
		Queue:    []JobDecision{{ID: 1, Reason: "pool linux is on hold: " + told}, {ID: 2, Reason: "a runner is there"}},
	}
	e := Explanation{Job: JobDecision{Reason: told}, Summary: []string{"It waits: " + told, "Later."}, Pools: []PoolAnswer{{Pool: "linux", Obstacles: []Obstacle{{Reason: told, Next: "later"}}}}}
	text := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before, shown := text([]any{s, e}), text([]any{s.WithoutLog(), e.WithoutLog()})
	if strings.Contains(shown, "Top5ecret") {
		t.Errorf("the log is shown: %s", shown)
	}
	if n := strings.Count(shown, "its runner never came online, exit code 1 (its log is for those who are logged in)"); n != 9 {
		t.Errorf("%d texts without their log, want 9: %s", n, shown)
	}
	for _, want := range []string{"is gone", "it waits", "made", "idle", "a runner is there", "Later.", `"next":"later"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing: %s", want, shown)
		}
	}
	if after := text([]any{s, e}); after != before {
		t.Errorf("the state was changed to %s", after)
	}
}
