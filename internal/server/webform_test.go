package server

import (
	"net/http"
	"strings"
	"testing"
)

func TestSentForms(t *testing.T) {
	f := newSentForms()
	number := randomText()
	if !f.first(number) || f.first(number) {
		t.Error("a form is not taken exactly once")
	}
	for _, bad := range []string{"", "x", number + "x"} {
		if f.first(bad) {
			t.Errorf("the number %q is taken", bad)
		}
	}
	for range maxSent + 100 {
		f.first(randomText())
	}
	if len(f.sent) > maxSent {
		t.Errorf("%d forms are remembered", len(f.sent))
	}
}

func TestBadBodiesChangeNothing(t *testing.T) {
	const good = "name=fresh&scope=instance&kind=single&number=0123456789012345678901234567890123456789012"
	tests := []struct {
		name, kind, body string
		status           int
	}{
		{"oversized", formType, good + "&description=" + strings.Repeat("x", maxBody), http.StatusRequestEntityTooLarge},
		{"JSON", "application/json", `{"name":"fresh"}`, http.StatusUnsupportedMediaType},
		{"multipart", "multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType},
		{"no type", "", good, http.StatusUnsupportedMediaType},
		{"broken type", "application/;", good, http.StatusUnsupportedMediaType},
		{"broken escape", formType, good + "&description=%zz", http.StatusBadRequest},
		{"semicolon", formType, good + ";x=y", http.StatusBadRequest},
		{"not text", formType, good + "&description=%ff%fe", http.StatusBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tokens := newFakeTokens(stacks())
			b := loggedIn(t, gatewayConfig(t), tokens)
			for _, path := range []string{"/tokens/new", "/tokens/stacks/revoke", "/tokens/stacks/disable", "/login"} {
				w := b.send(http.MethodPost, path, tt.kind, strings.NewReader(tt.body))
				if w.Code != tt.status {
					t.Errorf("%s: %d, want %d", path, w.Code, tt.status)
				}
				parsePage(t, w)
			}
			if len(tokens.calls) != 0 {
				t.Errorf("calls %q", tokens.calls)
			}
		})
	}
}
