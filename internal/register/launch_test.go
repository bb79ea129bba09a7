package register

import (
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestLaunch(t *testing.T) {
	for _, tc := range []struct {
		name    string
		program Program
		oneJob  bool
		handle  string
		want    string
	}{
		{"Gitea's image does it by itself", ProgramGitea, true, "", ""},
		{"and knows no handle", ProgramGitea, true, "h", ""},
		{"any job", ProgramForgejo, true, "", "forgejo-runner --config /data/config.yaml one-job --wait"},
		{"one job, which is not waited for", ProgramForgejo, true, "h", "forgejo-runner --config /data/config.yaml one-job --handle h"},
		{"job after job", ProgramForgejo, false, "", "forgejo-runner --config /data/config.yaml daemon"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := Launch(tc.program, "/data", tc.oneJob, tc.handle)
			if tc.want == "" {
				if l != nil {
					t.Errorf("launch %+v", l)
				}
				return
			}
			if l == nil || strings.Join(l.Command, " ") != tc.want || l.Env != nil {
				t.Errorf("launch %+v, want %s", l, tc.want)
			}
		})
	}
	if ProgramOf(plan.ProductForgejo) != ProgramForgejo || ProgramOf(plan.ProductGitea) != ProgramGitea {
		t.Error("a product has another's runner")
	}
}
