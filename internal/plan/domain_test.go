package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	for _, good := range []string{"instance", "org:build", "user:jo.e", "repo:a/b-c"} {
		s, err := ParseScope(good)
		if err != nil || s.String() != good {
			t.Errorf("ParseScope(%q) = %v, %v", good, s, err)
		}
	}
	for _, bad := range []string{"", "global", "instance:x", "org:", "org:a/b", "user", "repo:a", "repo:a/", "repo:a/b/c", "org:a b", "repo:a/.."} {
		if s, err := ParseScope(bad); err == nil {
			t.Errorf("ParseScope(%q) = %v, want an error", bad, s)
		}
	}
}

func TestScopeCovers(t *testing.T) {
	tests := []struct {
		scope, repo string
		want        bool
	}{
		{"instance", "a/b", true},
		{"org:a", "a/b", true}, {"org:A", "a/b", true}, {"org:a", "aa/b", false}, {"org:b", "a/b", false},
		{"user:a", "a/b", true},
		{"repo:a/b", "a/b", true}, {"repo:a/b", "A/B", true}, {"repo:a/b", "a/bb", false}, {"repo:a/b", "c/b", false},
		{"org:a", "", false},
	}
	for _, tt := range tests {
		s, err := ParseScope(tt.scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Covers(tt.repo); got != tt.want {
			t.Errorf("%s covers %s: %v, want %v", tt.scope, tt.repo, got, tt.want)
		}
	}
}

func TestParseLabel(t *testing.T) {
	good := map[string]Label{
		"linux":                       {Name: "linux"},
		"linux:host":                  {Name: "linux", Schema: "host"},
		"u:docker://node:20-bookworm": {Name: "u", Schema: "docker", Args: "//node:20-bookworm"},
	}
	for text, want := range good {
		if got, err := ParseLabel(text); err != nil || got != want || got.String() != text {
			t.Errorf("ParseLabel(%q) = %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", ":host", " a:host", "a,b", "a:vm", "a:host:x", "a:docker", "a:docker://"} {
		if got, err := ParseLabel(bad); err == nil {
			t.Errorf("ParseLabel(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestSecretNeverShows(t *testing.T) {
	const value = "s3cr3t-value"
	id := Identity{Token: value}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", Secret(value), "id", id)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", Secret(value), "id", id)
	encoded, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(encoded) + fmt.Sprintf("%v %+v %#v %s %q", id, id, id, id.Token, id.Token)
	if strings.Contains(shown, value) {
		t.Errorf("the secret shows: %s", shown)
	}
	if Secret(value).Reveal() != value {
		t.Error("Reveal does not give the value")
	}
}
