package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	badEnv(t)
	t.Setenv("SCALER_TEST_LONG", "0123456789abcdef0123456789abcdef")
	base := minimal
	tests := map[string]struct {
		from, to func(string) string
		want     string
	}{
		"nothing":    {same, same, ""},
		"a number":   {same, replace("image:", "max: 3\n    image:"), "pools[linux].max: 10 → 3"},
		"auto":       {replace("image:", "idle: auto\n    target_wait: {p95: 2s}\n    image:"), replace("image:", "idle: auto\n    target_wait: {p95: 5s}\n    idle_max: 4\n    image:"), "pools[linux].target_wait.p95: 2s → 5s\npools[linux].idle_max: added"},
		"no auto":    {replace("image:", "idle: auto\n    image:"), replace("image:", "idle: 2\n    image:"), "pools[linux].idle: auto → 2"},
		"a duration": {same, appended("poll_interval: 2s"), "poll_interval: 1s → 2s"},
		"a list":     {same, replace(`["linux:host"]`, `["linux:host", "big:host"]`), "pools[linux].labels: [linux:host] → [linux:host big:host]"},
		"a secret":   {same, replace("token: {env: SCALER_TEST_TOKEN}\npools", "mint: true\npools"), "registration_tokens[instance].token: removed\nregistration_tokens[instance].mint: false → true"},
		"variables": {replace("image:", "container: {env: {A: one, B: two}}\n    image:"), replace("image:", "container: {env: {A: other, C: three}}\n    image:"),
			"pools[linux].container.env.A: changed\npools[linux].container.env.B: removed\npools[linux].container.env.C: added"},
		"settings of the runner": {same, replace("image:", "runner_config: {runner: {envs: {PASSWORD: hidden}}}\n    image:"), "pools[linux].runner_config: changed"},
		"a section":              {same, appended("webhook: {listen: ':1', public_url: 'http://h', secret: {env: SCALER_TEST_LONG}}"), "webhook: added (restart)"},
		"a notification": {appended("notifications: [{name: ops, url: 'http://a/hunter2', headers: {A: hunter2, Content-Type: text/plain}, template: x, events: [problem]}]"),
			appended("notifications: [{name: ops, url: {env: SCALER_TEST_URL}, headers: {A: hunter3, Content-Type: text/plain}, template: y, batch: 3}]"), "notifications[ops].url: changed\nnotifications[ops].headers.A: changed\n" +
				"notifications[ops].events: [problem] → [breaker_opened breaker_closed token_refused problem problem_over config_rejected corpse_reaped job_overdue]\n" +
				"notifications[ops].template: changed\nnotifications[ops].batch: 20 → 3"},
		"a restart": {same, appended("state_dir: /srv/s"), "state_dir: /var/lib/scaler → /srv/s (restart)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			from, to := mustParse(t, tt.from(base)), mustParse(t, tt.to(base))
			var lines []string
			for _, c := range Diff(from, to) {
				line := c.String()
				if c.Restart {
					line += " (restart)"
				}
				lines = append(lines, line)
			}
			if got := strings.Join(lines, "\n"); got != tt.want {
				t.Errorf("Diff() =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func same(s string) string { return s }

func replace(old, with string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic("the configuration has no " + old + ":\n" + s)
		}
		return strings.Replace(s, old, with, 1)
	}
}

func appended(line string) func(string) string {
	return func(s string) string { return s + line + "\n" }
}

func TestDiffOfPools(t *testing.T) {
	badEnv(t)
	from, to := mustParse(t, minimal), mustParse(t, minimal)
	pool := func(name string) Pool { p := from.Pools[0]; p.Name = name; return p }
	from.Pools = []Pool{pool("a"), pool("b"), pool("c")}
	to.Pools = []Pool{pool("c"), pool("d"), pool("a")}
	var got []string
	for _, c := range Diff(from, to) {
		got = append(got, c.String())
	}
	want := []string{"pools[b]: removed", "pools[d]: added", "pools: order a, c → c, a"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Diff() = %q, want %q", got, want)
	}
}

func TestApplicable(t *testing.T) {
	badEnv(t)
	running := mustParse(t, minimal)
	wanted := mustParse(t, minimal+"state_dir: /srv/s\nlog: {level: debug, format: json}\npoll_interval: 3s\n")
	got := Applicable(running, wanted)
	if got.StateDir != running.StateDir || got.Log.Format != LogText {
		t.Errorf("state_dir %s and log.format %s were taken over; they need a restart", got.StateDir, got.Log.Format)
	}
	if got.PollInterval != wanted.PollInterval || got.Log.Level != wanted.Log.Level {
		t.Errorf("poll_interval %s and log.level %s were not taken over", got.PollInterval, got.Log.Level)
	}
	if wanted.StateDir != "/srv/s" {
		t.Error("the wanted configuration was changed")
	}
	for _, c := range Diff(running, got) {
		if c.Restart {
			t.Errorf("%s needs a restart", c)
		}
	}
	for _, c := range Diff(got, wanted) {
		if !c.Restart {
			t.Errorf("%s needs no restart", c)
		}
	}
}
