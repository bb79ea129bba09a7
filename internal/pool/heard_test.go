package pool

import (
	"testing"
	"time"
)

func TestHeard(t *testing.T) {
	read := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	written := time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		lines []string
		want  heard
	}{
		{"nothing", []string{"Starting runner daemon", ""}, heard{}},
		{"online at Gitea", []string{`time="2026-03-01T11:58:00Z" level=info msg="runner: r1, with version: v0.2.11, with labels: [linux], declare successfully"`}, heard{online: true}},
		{"online at Forgejo", []string{`time="2026-03-01T11:58:00Z" level=info msg="runner: r1, with version: v12.1.0, with labels: [linux], declared successfully"`}, heard{online: true}},
		{"a task", []string{`time="2026-03-01T11:59:00Z" level=info msg="task 17 repo is demo/app https://github.com http://gitea:3000"`},
			heard{online: true, task: task{17, "demo/app", written}}},
		{"on a terminal", []string{"INFO[0003] task 17 repo is demo/app https://github.com http://gitea:3000 "}, heard{online: true, task: task{17, "demo/app", read}}},
		{"written in the future", []string{`time="2027-03-01T11:59:00Z" level=info msg="task 17 repo is demo/app a b"`}, heard{online: true, task: task{17, "demo/app", read}}},
		{"the same again", []string{"task 17 repo is demo/app a b", `time="2026-03-01T11:59:00Z" msg="task 17 repo is demo/app a b"`}, heard{online: true, task: task{17, "demo/app", read}}},
		{"the next", []string{"task 17 repo is demo/app a b", "task 18 repo is demo/lib a b"}, heard{online: true, task: task{18, "demo/lib", read}}},
		{"no repository", []string{"task 17 repo is  a b", "task x repo is demo/app"}, heard{}},
		{"too large a number", []string{"task 99999999999999999999 repo is demo/app"}, heard{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h heard
			for _, l := range tt.lines {
				h.take(l, read)
			}
			if h != tt.want {
				t.Errorf("heard %+v, want %+v", h, tt.want)
			}
		})
	}
}
