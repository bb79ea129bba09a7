package gateway

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
)

func TestCheckState(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		token plan.Token
		want  string // reason and text; empty if it is accepted
	}{
		"single use, unused":       {plan.Token{Enabled: true}, ""},
		"single use, used":         {plan.Token{Enabled: true, Uses: 1}, "used: registration token stacks is used up; ask for another one"},
		"pinned, used a lot":       {plan.Token{Enabled: true, Pinned: true, Uses: 900}, ""},
		"pinned, below max uses":   {plan.Token{Enabled: true, Pinned: true, Uses: 2, MaxUses: 3}, ""},
		"pinned, at max uses":      {plan.Token{Enabled: true, Pinned: true, Uses: 3, MaxUses: 3}, "used: registration token stacks is used up; ask for another one"},
		"disabled":                 {plan.Token{Pinned: true}, "disabled: registration token stacks is disabled; ask for another one"},
		"before it expires":        {plan.Token{Enabled: true, ExpiresAt: now.Add(time.Nanosecond)}, ""},
		"at the moment it does":    {plan.Token{Enabled: true, ExpiresAt: now}, "expired: registration token stacks has expired; ask for another one"},
		"revoked":                  {plan.Token{RevokedAt: now}, "revoked: registration token stacks was revoked; ask for another one"},
		"all of it, first revoked": {plan.Token{RevokedAt: now, Uses: 4, ExpiresAt: now}, "revoked: registration token stacks was revoked; ask for another one"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.token.Name = "stacks"
			got := ""
			if no := checkState(tt.token, now); no != nil {
				got = no.reason + ": " + no.Error()
				if no.kind != kindUnauthenticated {
					t.Errorf("kind = %d", no.kind)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckSource(t *testing.T) {
	tests := map[string]struct {
		sources string
		from    string
		ok      bool
	}{
		"any":                  {"", "203.0.113.9", true},
		"within":               {"10.0.0.0/8", "10.255.0.1", true},
		"one of many":          {"10.0.0.0/8,192.168.7.0/24", "192.168.7.9", true},
		"outside":              {"10.0.0.0/8", "11.0.0.1", false},
		"single address":       {"10.0.0.7/32", "10.0.0.8", false},
		"mapped into IPv6":     {"10.0.0.0/8", "::ffff:10.0.0.1", true},
		"IPv6":                 {"fd00::/8", "fd00::1", true},
		"IPv6 with a zone":     {"fe80::/10", "fe80::1%eth0", true},
		"IPv4 for IPv6":        {"fd00::/8", "10.0.0.1", false},
		"everything IPv4":      {"0.0.0.0/0", "8.8.8.8", true},
		"IPv6 is no IPv4":      {"0.0.0.0/0", "2001:db8::1", false},
		"address is not known": {"0.0.0.0/0,::/0", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var token plan.Token
			for _, s := range strings.FieldsFunc(tt.sources, func(r rune) bool { return r == ',' }) {
				token.Sources = append(token.Sources, netip.MustParsePrefix(s))
			}
			var from netip.Addr
			if tt.from != "" {
				from = netip.MustParseAddr(tt.from)
			}
			if no := checkSource(token, from); (no == nil) != tt.ok {
				t.Errorf("refusal = %v, want ok %v", no, tt.ok)
			}
		})
	}
}

func TestCheckLabels(t *testing.T) {
	tests := map[string]struct {
		allowed, labels []string
		refused         string // the label that the refusal names
	}{
		"anything goes":                {nil, []string{"gpu", "a:host"}, ""},
		"no labels":                    {[]string{"linux"}, nil, ""},
		"all allowed":                  {[]string{"linux", "arm"}, []string{"arm:docker://debian", "linux"}, ""},
		"one too many":                 {[]string{"linux"}, []string{"linux", "gpu:host"}, `"gpu"`},
		"by another case":              {[]string{"linux"}, []string{"Linux"}, `"Linux"`},
		"empty name":                   {[]string{"linux"}, []string{":host"}, `""`},
		"name with the schema alone":   {[]string{"linux"}, []string{"linux:anything:at:all"}, ""},
		"a long and unprintable label": {[]string{"linux"}, []string{strings.Repeat("\x07é", 500)}, "…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			no := checkLabels("stacks", tt.allowed, tt.labels)
			switch {
			case tt.refused == "" && no != nil:
				t.Errorf("refused: %v", no)
			case tt.refused != "" && (no == nil || no.kind != kindForbidden || !strings.Contains(no.message, tt.refused) || len(no.message) > 600):
				t.Errorf("refusal = %v", no)
			}
		})
	}
}

// Old runners send their labels in other fields.
func TestRequestedLabelsAreAllOfThem(t *testing.T) {
	//lint:ignore SA1019 what a server may read has to be checked
	req := &runnerv1.RegisterRequest{Labels: []string{"a"}, AgentLabels: []string{"b"}, CustomLabels: []string{"c"}}
	if got := requested(req); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("labels = %v", got)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("linux,arm", "linux:host,gpu", "10.0.0.0/8", "10.0.0.1", 1, 0, true)
	f.Add("", "", "", "", 0, 0, false)
	f.Add(":", "::,", "fd00::/8", "::ffff:1.2.3.4", -1, -5, true)
	f.Fuzz(func(t *testing.T, allowed, labels, source, from string, uses, most int, pinned bool) {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		token := plan.Token{Name: "stacks", Enabled: true, Pinned: pinned, Uses: uses, MaxUses: most, Labels: split(allowed)}
		if p, err := netip.ParsePrefix(source); err == nil {
			token.Sources = []netip.Prefix{p}
		}
		addr, _ := netip.ParseAddr(from)
		if no := checkState(token, time.Now()); (no == nil) != (token.Left() != 0) {
			t.Errorf("state %v with %d left", no, token.Left())
		}
		if no := checkSource(token, addr); no == nil && len(token.Sources) > 0 && !token.Sources[0].Contains(addr.Unmap().WithZone("")) {
			t.Errorf("%s was accepted from outside %s", addr, token.Sources[0])
		}
		no := checkLabels(token.Name, token.Labels, split(labels))
		subset := true
		for _, l := range split(labels) {
			subset = subset && slices.Contains(token.Labels, strings.SplitN(l, ":", 2)[0])
		}
		if (no == nil) != (subset || len(token.Labels) == 0) {
			t.Errorf("labels %q of %q: %v", labels, allowed, no)
		}
		if no != nil && strings.ContainsAny(no.message, "\n\r\x00") {
			t.Errorf("message %q is not one line", no.message)
		}
	})
}
