package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

func TestWriteTokens(t *testing.T) {
	scope := plan.Scope{Kind: plan.ScopeInstance}
	once := plan.Token{Name: "build-7", Scope: scope, Enabled: true, Uses: 1, LastUsedAt: noon.Add(-2 * time.Hour), Description: strings.Repeat("x", 50)}
	tokens := []server.ListedToken{
		{Token: once, Runners: 1},
		{Token: plan.Token{Name: "lab", Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}, Pinned: true}},
		{Token: swarm().tokens["stacks"], Runners: 2},
	}
	const want = `TOKENS (3)
  NAME     SCOPE          KIND        STATE     USES     RUNNERS  LAST USED  DESCRIPTION
  build-7  instance       single use  used      1 of 1   1        2h0m ago   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  lab      repo:acme/app  pinned      disabled  0        0        never      -
  stacks   org:acme       pinned      active    3 of 10  2        1m0s ago   Swarm ?[2J
`
	var b bytes.Buffer
	if writeTokens(&b, tokens, noon); b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWriteToken(t *testing.T) {
	f := swarm()
	f.runners[0].Leaving, f.runners[0].OfflineSince = "token stacks was revoked", noon.Add(-time.Second)
	var b bytes.Buffer
	writeToken(&b, f.tokens["stacks"], f.runners, noon)
	const want = `  Name          stacks
  Description   Swarm ?[2J
  Scope         org:acme
  Kind          pinned, for 10 runners
  State         active
  Uses          3 of 10
  Expires       never
  Labels        any
  Sources       any
  Reaped after  24h0m offline
  Created       2026-03-01 11:00:00 UTC by uid 0 on the control socket
  Last used     1m0s ago

RUNNERS (2, 1 gone)
  NAME     ID  FROM      REGISTERED  STATE
  swarm-1  7   10.0.0.5  1h0m ago    leaves after its job, offline for 1s: token stacks was revoked
  swarm-2  8   10.0.0.6  1h0m ago    registered, offline for 1m0s
  swarm-3  9   -         1h0m ago    gone 1s ago: deleted in Gitea
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}

	made := f.tokens["stacks"]
	made.ReapAfter, made.ExpiresAt, made.Labels = 0, noon.Add(time.Hour), []string{"linux", "arm64"}
	var many []plan.Enrolment
	for i := range 15 {
		many = append(many, plan.Enrolment{Name: fmt.Sprint("r", i), GoneAt: noon.Add(time.Duration(i-15) * time.Minute)})
	}
	for _, tt := range []struct {
		runners []plan.Enrolment
		want    []string
		not     string
	}{
		{nil, []string{"Reaped after  never\n", "Expires       2026-03-01 13:00:00 UTC\n", "active until 2026-03-01 13:00:00 UTC\n", "Labels        linux, arm64\n",
			"RUNNERS (0, 0 gone)\n  No runner has come by it.\n"}, "REGISTERED"},
		{many, []string{"RUNNERS (0, 15 gone)\n", "  r14 ", "  r5 ", "  … and 5 more that are gone\n"}, "  r4 "},
	} {
		b.Reset()
		writeToken(&b, made, tt.runners, noon)
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%q is missing in\n%s", want, b.String())
			}
		}
		if strings.Contains(b.String(), tt.not) {
			t.Errorf("%q is in\n%s", tt.not, b.String())
		}
	}
}

func TestStanding(t *testing.T) {
	for want, token := range map[string]plan.Token{
		"active": {Enabled: true}, "disabled": {}, "used up": {Enabled: true, Uses: 1},
		"active until 2026-03-01 12:00:01 UTC": {Enabled: true, ExpiresAt: noon.Add(time.Second)},
		"expired 2026-03-01 12:00:00 UTC":      {Enabled: true, ExpiresAt: noon},
		"revoked 2026-03-01 12:00:00 UTC":      {RevokedAt: noon},
	} {
		if got := standing(token, noon); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTokenAudit(t *testing.T) {
	f := &fakeGateway{}
	socket := startGateway(t, f)
	audit := func(args ...string) string {
		t.Helper()
		return mustRun(t, append([]string{"token", "audit", "--socket", socket}, args...)...)
	}
	if got := audit(); got != "The audit log is empty.\n" {
		t.Errorf("an empty log: %q", got)
	}
	if got := audit("--json"); got != "" {
		t.Errorf("an empty log as JSON: %q", got)
	}
	for range 60 {
		f.put("token.reset", plan.Token{Name: "a"})
	}
	f.entries[59] = plan.AuditEntry{Seq: 60, At: noon, Action: "refuse", Source: "192.0.2.7", Runner: "x\ty", RunnerID: 7, Detail: "not a token\n\x1b[2J of <ours>"}

	const two = `AUDIT LOG (2)
  SEQ  AT                       ACTION       TOKEN  RUNNER  FROM       BY     DETAIL
  59   2026-03-01 12:00:00 UTC  token.reset  a      -       -          uid 0  -
  60   2026-03-01 12:00:00 UTC  refuse       -      x y #7  192.0.2.7  -      not a token ?[2J of <ours>
  Older ones: --limit 0
`
	if got := audit("--limit", "2"); got != two {
		t.Errorf("got\n%s\nwant\n%s", got, two)
	}
	for _, tt := range []struct {
		args string
		want []string
		not  string
	}{
		{"", []string{"AUDIT LOG (50)\n", "\n  11   ", "Older ones"}, "\n  10   "},
		{"--limit 0", []string{"AUDIT LOG (60)\n", "\n  1    "}, "ones:"},
		{"--after 55", []string{"AUDIT LOG (5)\n"}, "ones:"},
		{"--after 5 --limit 3", []string{"AUDIT LOG (3)\n", "Newer ones: --after 8\n"}, "\n  9 "},
		{"--after 60", []string{"The audit log has nothing after entry 60.\n"}, "SEQ"},
	} {
		got := audit(strings.Fields(tt.args)...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.args, want, got)
			}
		}
		if strings.Contains(got, tt.not) {
			t.Errorf("%s: %q is in\n%s", tt.args, tt.not, got)
		}
	}

	for args, n := range map[string]int{"--json": 60, "--json --limit 3": 3, "--json --after 58": 2} {
		lines := strings.Split(strings.TrimSpace(audit(strings.Fields(args)...)), "\n")
		var last plan.AuditEntry
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != n || last != f.entries[59] {
			t.Errorf("%s: %d lines, %v; want %d, the last %+v, not %+v", args, len(lines), err, n, f.entries[59], last)
		}
	}
	if !strings.Contains(audit("--json", "--after", "59"), "<ours>") {
		t.Error("JSON is made for HTML")
	}
}
