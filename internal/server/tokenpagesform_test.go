package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// newToken fills in the form of a page that was just opened.
func newToken(t *testing.T, b *browser, fields ...string) []string {
	t.Helper()
	return append([]string{"number", parsePage(t, b.get("/tokens/new")).input(t, "number")}, fields...)
}

func TestNewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newFakeTokens()
		b := loggedIn(t, gatewayConfig(t), tokens)
		w := b.post("/tokens/new", newToken(t, b, "name", " stacks ", "description", "of <the> farm", "scope", "org:acme", "kind", "reusable",
			"expires", "30d", "max_uses", "10", "labels", "linux, gpu,linux", "sources", "10.0.0.0/8 192.0.2.7\nfd00::/8", "reap_after", "12h")...)
		got := tokens.tokens["stacks"]
		want := plan.Token{
			ID: "id-stacks", Name: "stacks", Description: "of <the> farm", Scope: plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, Pinned: true, Enabled: true,
			ExpiresAt: time.Now().Add(30 * day).UTC(), MaxUses: 10, Labels: []string{"linux", "gpu"},
			Sources:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8")},
			ReapAfter: 12 * time.Hour, CreatedAt: got.CreatedAt, CreatedBy: "alice on the web page",
		}
		if w.Code != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%d, token\n%+v, want\n%+v", w.Code, got, want)
		}
		page := parsePage(t, w)
		if secret := page.find("pre")[0].text; secret != fmt.Sprintf("scaler_Top5ecret%041d", 1) {
			t.Errorf("the page shows %q", secret)
		}
	})
}

func TestNewTokenFaults(t *testing.T) {
	good := map[string]string{"name": "fresh", "description": "d", "scope": "instance", "kind": "reusable"}
	tests := []struct{ field, value, want string }{
		{"name", "", "name"}, {"name", "a b", "letters"}, {"name", "../x", "letters"}, {"name", ".x", "begin"}, {"name", strings.Repeat("x", 65), "64"},
		{"name", "new", "taken"}, {"name", "stacks", "already"}, {"name", "a\nb", "letters"},
		{"description", strings.Repeat("x", 501), "500"}, {"description", "a\nb", "one line"},
		{"scope", "", "Choose"}, {"scope", "org:other", "Choose"},
		{"kind", "", "Choose"}, {"kind", "other", "Choose"},
		{"expires", "soon", "30d"}, {"expires", "0d", "over"}, {"expires", "2020-01-01", "over"}, {"expires", "-1h", "30d"}, {"expires", "99999d", "30d"},
		{"expires", "9999-12-31", "3650"}, {"expires", "2020-01-01T00:00:00Z", "over"},
		{"max_uses", "0", "number"}, {"max_uses", "-1", "number"}, {"max_uses", "x", "number"}, {"max_uses", "99999999999999999999", "number"},
		{"labels", "linux:host", "names only"}, {"labels", "a:docker://b", "names only"},
		{"sources", "10.0.0.1/8", "10.0.0.0/8"}, {"sources", "home", "neither"}, {"sources", "fe80::1%eth0", "neither"}, {"sources", "::ffff:10.0.0.0/104", "neither"},
		{"reap_after", "later", "24h"}, {"reap_after", "-1h", "24h"}, {"reap_after", "1s", "one minute"},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			tokens := newFakeTokens(stacks())
			b := loggedIn(t, gatewayConfig(t), tokens)
			var fields []string
			for name, value := range good {
				if name != tt.field {
					fields = append(fields, name, value)
				}
			}
			w := b.post("/tokens/new", newToken(t, b, append(fields, tt.field, tt.value)...)...)
			if w.Code != http.StatusUnprocessableEntity && w.Code != http.StatusConflict || len(tokens.tokens) != 1 {
				t.Fatalf("%d, tokens %v", w.Code, tokens.tokens)
			}
			page := parsePage(t, w)
			fault := page.find("p", "id", tt.field+"-fault")
			if len(fault) != 1 || !strings.Contains(fault[0].text, tt.want) {
				t.Fatalf("beside %s: %v\n%s", tt.field, fault, w.Body)
			}
			if n := len(page.find("p", "class", "fault")); n != 2 { // this and the one above the form
				t.Errorf("%d faults are shown", n)
			}
			if tt.field == "name" && !strings.Contains(tt.value, "\n") && page.input(t, "name") != tt.value || tt.field != "name" && page.input(t, "name") != "fresh" || tt.field != "description" && page.input(t, "description") != "d" {
				t.Error("the input is not kept")
			}
			if tt.field != "scope" && page.find("option", "selected", "selected")[0].text != "instance" {
				t.Error("the scope is not kept")
			}
			if w := b.post("/tokens/new", "number", page.input(t, "number"), "name", "fresh", "scope", "instance", "kind", "single"); w.Code != http.StatusOK {
				t.Errorf("corrected: %d", w.Code)
			}
		})
	}
}

func TestNewTokenForSingleUse(t *testing.T) {
	tests := []struct {
		uses   string
		status int
	}{{"", http.StatusOK}, {"1", http.StatusOK}, {"2", http.StatusUnprocessableEntity}}
	for _, tt := range tests {
		tokens := newFakeTokens()
		b := loggedIn(t, gatewayConfig(t), tokens)
		w := b.post("/tokens/new", newToken(t, b, "name", "x", "scope", "instance", "kind", "single", "max_uses", tt.uses)...)
		if w.Code != tt.status || tokens.tokens["x"].MaxUses != 0 || tokens.tokens["x"].Pinned {
			t.Errorf("%q uses: %d, %+v", tt.uses, w.Code, tokens.tokens)
		}
	}
}

func TestExpiry(t *testing.T) {
	for text, want := range map[string]time.Time{
		"": {}, "12h": now.Add(12 * time.Hour), "1d": now.Add(day), "2026-03-01": time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		"2026-03-05T10:00:00+02:00": time.Date(2026, 3, 5, 8, 0, 0, 0, time.UTC),
	} {
		if got, fault := parseExpiry(text, now); fault != "" || !got.Equal(want) {
			t.Errorf("%q: %v, %s", text, got, fault)
		}
	}
}

func TestReapAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "0d": 0, "24h": day, "7d": 7 * day, "90m": 90 * time.Minute} {
		if got, fault := parseReapAfter(text); fault != "" || got != want {
			t.Errorf("%q: %v, %s", text, got, fault)
		}
		if want > 0 && spanText(want) != strings.TrimPrefix(text, " ") && text != "90m" {
			t.Errorf("%v is shown as %s", want, spanText(want))
		}
	}
	if got := spanText(90 * time.Minute); got != "1h30m" {
		t.Errorf("90 minutes are shown as %s", got)
	}
}

func TestFormWithoutScopes(t *testing.T) {
	cfg := gatewayConfig(t)
	cfg.Scopes = func() []plan.Scope { return nil }
	page := parsePage(t, loggedIn(t, cfg, newFakeTokens()).get("/tokens/new"))
	if len(page.find("form", "action", "/tokens/new")) != 0 || !strings.Contains(page.text, "registration_tokens") {
		t.Errorf("text %s", page.text)
	}
}
