package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretSources(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(credentialsDir, dir)
	t.Setenv("SCALER_TEST_TOKEN", "from-env")
	writeSecret(t, filepath.Join(dir, "token"), "from-file\r\n\n", 0o640)
	file := filepath.Join(dir, "token")
	for _, tt := range []struct {
		ref        SecretRef
		text, want string
	}{
		{SecretRef{secretFile, file}, "file " + file, "from-file"},
		{SecretRef{secretEnv, "SCALER_TEST_TOKEN"}, "env SCALER_TEST_TOKEN", "from-env"},
		{SecretRef{secretCredential, "token"}, "credential token", "from-file"},
	} {
		t.Run(string(tt.ref.kind), func(t *testing.T) {
			got, err := tt.ref.Read()
			if err != nil || got.Reveal() != tt.want {
				t.Errorf("Read = %q, %v; want %q", got.Reveal(), err, tt.want)
			}
			if tt.ref.String() != tt.text {
				t.Errorf("String = %q, want %q", tt.ref, tt.text)
			}
		})
	}
}

func TestSecretIsReadAnew(t *testing.T) {
	badEnv(t)
	dir := t.TempDir()
	writeSecret(t, filepath.Join(dir, "token"), "first\n", 0o600)
	text := strings.Replace(minimal, "{env: SCALER_TEST_TOKEN}", "{file: token}", 1)
	c, err := Parse(filepath.Join(dir, "scaler.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	writeSecret(t, filepath.Join(dir, "token"), "second\n", 0o600)
	if got, err := c.Gitea.APIToken.Read(); err != nil || got.Reveal() != "second" {
		t.Errorf("Read = %q, %v; want second", got.Reveal(), err)
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Gitea.APIToken.Read(); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "token")) {
		t.Errorf("err = %v; want one that names the file", err)
	}
}

func TestSecretFileFaults(t *testing.T) {
	badEnv(t)
	tests := []struct {
		name    string
		content string
		mode    os.FileMode
		want    string // empty: good
	}{
		{"owner only", "t0ken", 0o600, ""},
		{"owner reads only", "t0ken", 0o400, ""},
		{"group reads", "t0ken", 0o640, ""},
		{"others read", "t0ken", 0o604, "others have access to it (mode 0604): run chmod o= "},
		{"others write", "t0ken", 0o602, "others have access to it (mode 0602): run chmod o= "},
		{"empty", "", 0o600, "it is empty"},
		{"blank", " \n", 0o600, "it is empty"},
		{"two lines", "hunter2\nhunter2", 0o600, "one line"},
		{"large", strings.Repeat("x", maxSecret+1), 0o600, "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeSecret(t, filepath.Join(dir, "token"), tt.content, tt.mode)
			text := strings.Replace(minimal, "{env: SCALER_TEST_TOKEN}", "{file: token}", 1)
			_, err := Parse(filepath.Join(dir, "scaler.yaml"), []byte(text))
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), ":3: gitea.api_token: ")):
				t.Errorf("err = %v; want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the secret is shown: %v", err)
			}
		})
	}
}

// TestSecretPipe shows that a named pipe, on which an open would wait for
// ever, is refused.
func TestSecretPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("make pipe: %v", err)
	}
	_, err := SecretRef{secretFile, pipe}.Read()
	if err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("err = %v; want that it is no regular file", err)
	}
}

// TestConfigShowsNoSecret prints a whole configuration in several ways.
func TestConfigShowsNoSecret(t *testing.T) {
	badEnv(t)
	c := mustParse(t, minimal)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %+v %#v %s", c, c, c, asJSON); strings.Contains(all, "t0ken") {
		t.Errorf("a secret is shown: %s", all)
	}
}
