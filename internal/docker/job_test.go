package docker

import (
	"strings"
	"testing"
)

// The names that Gitea's runner 1.0.8 gives for task 42, workflow "CI / build",
// job "test (1.26, linux)".
const (
	realJob     = "GITEA-ACTIONS-TASK-42-WORKFLOW-CI--build-JOB-test-1-26-linux-0b846f06a6ee2af9cbdd78e08cd3a1c293b1e8d51d97d8974b978478201cb0db"
	realService = "GITEA-ACTIONS-TASK-42-WORKFLOW-CI-build-JOB-test-1-26-linux-0b8-5666f186e1382a804fc90cf2a8bc22fb1626314e66cabb2affbb908a5e32efcb" // db
	realStep    = "GITEA-ACTIONS-TASK-42-WORKFLOW-CI-build-JOB-test-1-26-linux-0b8-347fdf07a0f65f4db52de15f449ea47d476c451c87204595e96266825f87be39" // step 0
)

func TestRelatedName(t *testing.T) {
	for _, tc := range []struct{ name, job, part, want string }{
		{"job", "GITEA-ACTIONS-TASK-42", "WORKFLOW-CI / build-JOB-test (1.26, linux)", realJob},
		{"short job", "GITEA-ACTIONS-TASK-1", "WORKFLOW-x-JOB-y", "GITEA-ACTIONS-TASK-1-WORKFLOW-x-JOB-y-8a01507836741eb62637516578fa1247f71c6903aee40600a249f8a84d70f18e"},
		{"service", realJob, "db", realService},
		{"step", realJob, "STEP-0", realStep},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := relatedName(tc.job, tc.part)
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !jobName.MatchString(got) {
				t.Errorf("%s does not have the form of a job's name", got)
			}
		})
	}
	for _, name := range []string{realService, realStep} {
		if prefix := relatedPrefix(realJob); !strings.HasPrefix(name, prefix) || len(prefix) != 64 {
			t.Errorf("relatedPrefix() = %s, want 64 characters of %s", prefix, name)
		}
	}
}

func TestJobName(t *testing.T) {
	hash := realJob[len(realJob)-64:]
	for name, want := range map[string]bool{
		realJob: true,
		strings.Replace(realJob, "GITEA", "FORGEJO", 1): true,
		"":               false,
		realJob + "-env": false,
		realJob + "\n":   false,
		"x" + realJob:    false,
		"GITEA-ACTIONS-TASK-42-WORKFLOW-a.*-" + hash:    false, // no name of the runner's, and a pattern to the engine
		"GITEA-ACTIONS-TASK-x-WORKFLOW-a-" + hash:       false,
		"GITEA-ACTIONS-TASK-42-WORKFLOW-a-" + hash[1:]:  false,
		"GITEA-ACTIONS-TASK-42_WORKFLOW-a_JOB-b":        false,
		strings.Replace(realJob, "GITEA", "ANOTHER", 1): false,
	} {
		if got := jobName.MatchString(name); got != want {
			t.Errorf("jobName matches %q: %v, want %v", name, got, want)
		}
	}
}

func TestIsNetworkOf(t *testing.T) {
	for name, want := range map[string]bool{
		realJob + "-build-network":       true,
		realJob + "-a-network-network":   true,
		realJob + "-network":             false,
		realJob + "--network":            false,
		realJob + "-build-network-2":     false,
		realJob + "build-network":        false,
		"x" + realJob + "-build-network": false,
		realService + "-build-network":   false,
	} {
		if got := isNetworkOf(realJob, name); got != want {
			t.Errorf("isNetworkOf(%s): %v, want %v", name, got, want)
		}
	}
}

func TestJobOptions(t *testing.T) {
	want := "--label io.scaler.job.instance=0123456789ab --label io.scaler.job.runner=scaler-0123456789ab-linux-abcdef"
	if got := JobOptions("0123456789ab", "scaler-0123456789ab-linux-abcdef"); got != want {
		t.Errorf("JobOptions() = %s, want %s", got, want)
	}
}
