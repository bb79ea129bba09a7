package server

import (
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAccounts(t *testing.T) {
	const hash = "$2y$05$a8OMqssTHVmIRzfat0dbb..lulnDlYeHv4c4RSLg3yGX0YPrn98Lu" // "password"
	tests := []struct {
		name, text string
		mode       os.FileMode
		users      []string
		bad        []int
		err        string
	}{
		{"as htpasswd writes", "alice:" + hash + "\nbob:" + hash + "\n", 0o600, []string{"alice", "bob"}, nil, ""},
		{"comments and blank lines", "# who\n\n alice:" + hash + " \r\n", 0o640, []string{"alice"}, nil, ""},
		{"other hashes", "a:$apr1$x$y\nb:{SHA}x\nc:plain\nalice:" + hash + "\nd\n:" + hash + "\n", 0o600, []string{"alice"}, []int{1, 2, 3, 5, 6}, ""},
		{"readable by all", "alice:" + hash, 0o644, []string{"alice"}, nil, ""},
		{"writable by all", "alice:" + hash, 0o602, nil, nil, "everybody may write it"},
		{"empty", "", 0o600, nil, nil, ""},
		{"too large", strings.Repeat("#\n", maxAccounts/2+1), 0o600, nil, nil, "larger"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/passwords"
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			list, err := accounts{path: path}.read()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(list.hashes) != 0 {
					t.Errorf("got %v, %v", list, err)
				}
				return
			}
			var users []string
			for name := range list.hashes {
				users = append(users, name)
			}
			slices.Sort(users)
			if err != nil || !slices.Equal(users, tt.users) || !slices.Equal(list.bad, tt.bad) {
				t.Errorf("users %q, bad lines %v, %v", users, list.bad, err)
			}
			for _, name := range tt.users {
				if !list.check(name, "password") || list.check(name, "passwort") {
					t.Errorf("%s: the password is not checked right", name)
				}
			}
			if list.check("nobody", "password") {
				t.Error("an unknown name gets in")
			}
		})
	}
}

func TestFirstOfTwoAccountsCounts(t *testing.T) {
	path := t.TempDir() + "/passwords"
	writeAccounts(t, path, "alice", "first", "alice", "second")
	list, err := accounts{path: path}.read()
	if err != nil || !list.check("alice", "first") || list.check("alice", "second") {
		t.Errorf("%v, %v", list, err)
	}
}

// The time that an answer takes must not tell whether there is such a name.
func TestUnknownNamesAreHashedToo(t *testing.T) {
	path := t.TempDir() + "/passwords"
	const slow = "alice:$2y$10$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n"
	if err := os.WriteFile(path, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := accounts{path: path}.read()
	if err != nil {
		t.Fatal(err)
	}
	took := func(name string) time.Duration {
		least := time.Hour
		for range 3 {
			begin := time.Now()
			list.check(name, "x")
			least = min(least, time.Since(begin))
		}
		return least
	}
	if known, unknown := took("alice"), took("bob"); unknown < known/4 {
		t.Errorf("a known name takes %v, an unknown one %v", known, unknown)
	}
}

func TestSessionEndsWithItsAccount(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
	}{
		{"another password", func(t *testing.T, path string) { writeAccounts(t, path, "alice", "other") }},
		{"the account removed", func(t *testing.T, path string) { writeAccounts(t, path, "bob", "right") }},
		{"the file removed", func(t *testing.T, path string) { os.Remove(path) }},
		{"the file unreadable", func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o606); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := gatewayConfig(t)
			b := loggedIn(t, cfg, newFakeTokens())
			if w := b.get("/tokens"); w.Code != http.StatusOK {
				t.Fatalf("before: %d", w.Code)
			}
			tt.change(t, cfg.Passwords)
			if w := b.get("/tokens"); w.Code != http.StatusSeeOther {
				t.Errorf("after: %d", w.Code)
			}
		})
	}
}

func TestLoginPageWithoutAccounts(t *testing.T) {
	tests := []struct {
		name   string
		cfg    WebConfig
		status int
		want   string
	}{
		{"nothing is set up", WebConfig{}, http.StatusOK, "http.password_file"},
		{"the proxy logs in", WebConfig{UserHeader: "X-User"}, http.StatusOK, "reverse proxy"},
		{"no file", WebConfig{Passwords: "testdata/there-is-none"}, http.StatusOK, "htpasswd -B"},
		{"no regular file", WebConfig{Passwords: "testdata"}, http.StatusServiceUnavailable, "log says why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, NewWeb(tt.cfg, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
			w := b.get("/login")
			page := parsePage(t, w)
			if w.Code != tt.status || !strings.Contains(page.text, tt.want) || len(page.find("form")) != 0 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "testdata") {
				t.Error("the path of the file is shown")
			}
			if w := b.login("", ""); w.Code < 400 || len(b.cookies) != 0 {
				t.Errorf("a login without accounts: %d", w.Code)
			}
		})
	}
}
