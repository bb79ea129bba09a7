package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestTokenTable(t *testing.T) {
	long := stacks()
	long.Description, long.LastUsedAt, long.Uses, long.MaxUses = `<script>alert("x")</script>`, now, 3, 10
	single := plan.Token{Name: "one", Scope: plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, Enabled: false, CreatedAt: now}
	tokens := newFakeTokens(long, single)
	tokens.runners["stacks"] = []plan.Enrolment{{Name: "a"}, {Name: "b", GoneAt: now}, {Name: "c", OfflineSince: now}}
	page := parsePage(t, loggedIn(t, gatewayConfig(t), tokens).get("/tokens"))
	want := []string{
		"one||org:acme|single use|disabled|0 of 1|0|2026-03-01 12:00 UTC|never",
		`stacks|<script>alert("x")</script>|instance|reusable|active|3 of 10|2|2026-03-01 12:00 UTC|2026-03-01 12:00 UTC`,
	}
	if got := page.rows(); !slices.Equal(got, want) {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, th := range append(page.find("thead")[0].find("th"), page.find("tbody")[0].find("th")...) {
		if th.attr["scope"] == "" {
			t.Errorf("header %s has no scope", th.text)
		}
	}
	if scripts := page.find("script"); len(scripts) != 1 || scripts[0].attr["src"] != "/assets/page.js" || scripts[0].text != "" {
		t.Errorf("%d scripts", len(scripts))
	}
	if len(page.find("a", "href", "/tokens/new", "class", "button")) != 1 || len(page.find("a", "href", "/tokens/one")) != 1 {
		t.Error("a link is missing")
	}
}

func TestEmptyTokenTable(t *testing.T) {
	page := parsePage(t, loggedIn(t, gatewayConfig(t), newFakeTokens()).get("/tokens"))
	if len(page.find("table")) != 0 || !strings.Contains(page.text, "There is no token yet") {
		t.Errorf("text %s", page.text)
	}
}

func TestTokenPage(t *testing.T) {
	token := stacks()
	token.Description, token.ReapAfter, token.CreatedBy = "a <b>bold</b> one", 7*day, "alice on the web page"
	token.Labels, token.Sources = []string{"linux", "gpu"}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tokens := newFakeTokens(token)
	tokens.runners["stacks"] = []plan.Enrolment{
		{Name: "old", RunnerID: 1, Source: "10.0.0.1", RegisteredAt: now, GoneAt: now, Gone: "its job is done"},
		{Name: "up", RunnerID: 2, Source: "10.0.0.2", RegisteredAt: now, Labels: []string{"linux"}},
		{Name: "<i>", RunnerID: 3, Source: "10.0.0.3", RegisteredAt: now.Add(time.Hour), OfflineSince: now},
		{Name: "off", RunnerID: 4, Source: "10.0.0.4", RegisteredAt: now.Add(-time.Hour), Leaving: "token stacks was revoked", OfflineSince: now},
	}
	page := parsePage(t, loggedIn(t, gatewayConfig(t), tokens).get("/tokens/stacks"))
	want := []string{
		"<i>|3|10.0.0.3||2026-03-01 13:00 UTC|offline since 2026-03-01 12:00 UTC",
		"up|2|10.0.0.2|linux|2026-03-01 12:00 UTC|registered",
		"off|4|10.0.0.4||2026-03-01 11:00 UTC|to leave after its job: token stacks was revoked",
		"old|1|10.0.0.1||2026-03-01 12:00 UTC|gone since 2026-03-01 12:00 UTC: its job is done",
	}
	if got := page.rows(); !slices.Equal(got, want) {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	facts := make(map[string]string)
	for _, d := range page.find("dl")[0].find("div") {
		facts[d.find("dt")[0].text] = d.find("dd")[0].text
	}
	wantFacts := map[string]string{
		"State": "active", "Kind": "reusable (pinned)", "Scope": "instance", "Uses": "0", "Runners": "3", "Expires": "never", "Labels": "linux, gpu",
		"Source networks": "10.0.0.0/8, fd00::/8", "Reap after": "7d offline", "Created": "2026-03-01 12:00 UTC by alice on the web page",
		"Last used": "never", "ID": "id-stacks",
	}
	if !reflect.DeepEqual(facts, wantFacts) {
		t.Errorf("facts %v", facts)
	}
	if !strings.Contains(page.text, "a <b>bold</b> one") {
		t.Error("the description is not shown as it is")
	}
}

func TestTokenPageWithManyRunners(t *testing.T) {
	tokens := newFakeTokens(stacks())
	for i := range maxGoneShown + 7 {
		tokens.runners["stacks"] = append(tokens.runners["stacks"], plan.Enrolment{Name: fmt.Sprint("gone-", i), GoneAt: now}, plan.Enrolment{Name: fmt.Sprint("here-", i)})
	}
	page := parsePage(t, loggedIn(t, gatewayConfig(t), tokens).get("/tokens/stacks"))
	if rows := page.rows(); len(rows) != maxGoneShown*2+7 || !strings.Contains(page.text, "7 more that are gone") {
		t.Errorf("%d rows", len(rows))
	}
}

// buttons lists what can be done on the page of a token.
func buttons(page *element) []string {
	var list []string
	for _, b := range page.find("ul")[0].find("button") {
		list = append(list, b.text)
	}
	return list
}

func TestButtonsFitTheToken(t *testing.T) {
	tests := []struct {
		name  string
		token plan.Token
		want  []string
	}{
		{"reusable", plan.Token{Pinned: true, Enabled: true}, []string{"Disable", "Unpin", "Reset…", "Revoke…", "Delete…"}},
		{"single and disabled", plan.Token{}, []string{"Enable", "Pin", "Reset…", "Revoke…", "Delete…"}},
		{"revoked", plan.Token{Pinned: true, RevokedAt: now}, []string{"Delete…"}},
	}
	for _, tt := range tests {
		tt.token.Name = "x"
		page := parsePage(t, loggedIn(t, gatewayConfig(t), newFakeTokens(tt.token)).get("/tokens/x"))
		if got := buttons(page); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestChangesAtOnce(t *testing.T) {
	for _, change := range []string{"pin", "unpin", "enable", "disable"} {
		tokens := newFakeTokens(stacks())
		b := loggedIn(t, gatewayConfig(t), tokens)
		if w := b.get("/tokens/stacks/" + change); w.Code != http.StatusNotFound || len(tokens.calls) != 0 {
			t.Errorf("GET %s: %d, calls %q", change, w.Code, tokens.calls)
		}
		w := b.post("/tokens/stacks/" + change)
		if want := []string{change + " stacks by alice on the web page"}; w.Code != http.StatusSeeOther || !slices.Equal(tokens.calls, want) {
			t.Errorf("%s: %d, calls %q", change, w.Code, tokens.calls)
		}
		page := parsePage(t, b.get(w.Header().Get("Location")))
		if note := page.find("p", "role", "status"); len(note) != 1 || note[0].text != outcomes[change] {
			t.Errorf("%s: the page after it does not say so", change)
		}
	}
}

func TestDestructiveChangesAreConfirmed(t *testing.T) {
	for _, change := range []string{"revoke", "delete", "reset"} {
		t.Run(change, func(t *testing.T) {
			tokens := newFakeTokens(stacks())
			b := loggedIn(t, gatewayConfig(t), tokens)
			path := "/tokens/stacks/" + change
			if page := parsePage(t, b.get("/tokens/stacks")); len(page.find("form", "method", "get", "action", path)) != 1 || len(page.find("form", "method", "post", "action", path)) != 0 {
				t.Error("the button does not lead to a page of its own")
			}
			if w := b.post(path); w.Code != http.StatusConflict || len(tokens.calls) != 0 {
				t.Errorf("without the page: %d, calls %q", w.Code, tokens.calls)
			}
			page := parsePage(t, b.get(path))
			if form := page.find("form", "action", path, "method", "post"); len(form) != 1 || len(tokens.calls) != 0 {
				t.Fatalf("%d forms, calls %q", len(form), tokens.calls)
			}
			number := page.input(t, "number")
			w := b.post(path, "number", number)
			if want := []string{change + " stacks by alice on the web page"}; w.Code >= 400 || !slices.Equal(tokens.calls, want) {
				t.Errorf("%d, calls %q", w.Code, tokens.calls)
			}
			if w := b.post(path, "number", number); w.Code != http.StatusConflict || len(tokens.calls) != 1 {
				t.Errorf("sent again: %d, calls %q", w.Code, tokens.calls)
			}
			if change == "delete" && w.Header().Get("Location") != "/tokens?done=delete" {
				t.Errorf("leads to %s", w.Header().Get("Location"))
			}
		})
	}
}

func TestUnknownTokensAndChanges(t *testing.T) {
	tokens := newFakeTokens(stacks())
	b := loggedIn(t, gatewayConfig(t), tokens)
	for _, path := range []string{"/tokens/none", "/tokens/none/revoke", "/tokens/stacks/explode", "/tokens/a%2fb", "/tokens/%00", "/tokens/stacks/pin/x"} {
		if w := b.get(path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
	if w := b.post("/tokens/stacks/explode", "number", randomText()); w.Code != http.StatusNotFound || len(tokens.calls) != 0 {
		t.Errorf("%d, calls %q", w.Code, tokens.calls)
	}
	if w := b.post("/tokens/none/disable"); w.Code != http.StatusNotFound {
		t.Errorf("POST: %d", w.Code)
	}
}

// The secret of a token is in the answer to who made it and in no other, also
// if that page is loaded again.
func TestSecretIsShownOnce(t *testing.T) {
	for name, open := range map[string]string{"create": "/tokens/new", "reset": "/tokens/stacks/reset"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			tokens := newFakeTokens(stacks())
			b := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, tokens, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			b.login("alice", "right")
			fields := []string{"number", parsePage(t, b.get(open)).input(t, "number"), "name", "fresh", "scope", "instance", "kind", "single"}
			first := b.post(open, fields...)
			if first.Code != http.StatusOK || !strings.Contains(first.Body.String(), "scaler_Top5ecret") || first.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v", first.Code, first.Header())
			}
			again := b.post(open, fields...)
			if again.Code != http.StatusConflict || len(tokens.calls) != 1 {
				t.Errorf("loaded again: %d, calls %q", again.Code, tokens.calls)
			}
			others := again.Body.String() + log.String()
			for _, path := range []string{"/tokens", "/tokens/new", "/tokens/fresh", "/tokens/stacks", "/tokens/stacks/reset", "/tokens/stacks/delete", "/metrics", "/login"} {
				w := b.get(path)
				others += w.Body.String() + fmt.Sprint(w.Header())
			}
			if strings.Contains(others, "Top5ecret") {
				t.Error("the secret is in another answer, or in the log")
			}
		})
	}
}

func TestErrorsOfTheGateway(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		shown  string
		logged bool
	}{
		{"invalid", fmt.Errorf("change: %w: too many", plan.ErrInvalid), http.StatusUnprocessableEntity, "too many", false},
		{"storage", errors.New("disk /dev/sda1 is full"), http.StatusInternalServerError, "log says why", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			tokens := newFakeTokens(stacks())
			tokens.err = tt.err
			b := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, tokens, slog.New(slog.NewTextHandler(&log, nil))))
			b.login("alice", "right")
			w := b.post("/tokens/new", newToken(t, b, "name", "x", "scope", "instance", "kind", "single")...)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.shown) || strings.Contains(w.Body.String(), "sda1") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if strings.Contains(log.String(), "sda1") != tt.logged {
				t.Errorf("log %s", log.String())
			}
			parsePage(t, w)
			if w := b.post("/tokens/stacks/disable"); w.Code < 400 || strings.Contains(w.Body.String(), "sda1") {
				t.Errorf("change: %d", w.Code)
			}
		})
	}
}

// What a browser began is finished, even if it does not wait for the answer.
func TestChangeOutlivesTheBrowser(t *testing.T) {
	tokens := newFakeTokens(stacks())
	web := NewWeb(gatewayConfig(t), fakeStatus{}, tokens, slog.New(slog.DiscardHandler))
	b := newBrowser(t, web)
	b.login("alice", "right")
	b.gone = true
	if w := b.post("/tokens/stacks/disable"); w.Code != http.StatusSeeOther {
		t.Errorf("%d: the change was given up", w.Code)
	}
}
