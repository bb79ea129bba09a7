package packaging

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	topKey    = regexp.MustCompile(`(?m)^([a-z_]+):`)
	mdLink    = regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^)]+))?\)`)
	makeUse   = regexp.MustCompile("(?m)(?:^|`|^# +)make ([a-z]+)")
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInID   = regexp.MustCompile(`[^a-z0-9_ -]`)
)

// blocks returns the fenced blocks of a language, by document.
func blocks(t *testing.T, language string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, name := range documents(t) {
		for _, m := range codeBlock.FindAllStringSubmatch(read(t, name), -1) {
			if m[1] == language {
				found[name] = append(found[name], m[2])
			}
		}
	}
	return found
}

// secretsDir has a file for each secret that an example can name.
func secretsDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"api-token", "registration-token", "registry-password", "passwords", "webhook-secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("t0ken-0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "slack-url"), []byte("https://hooks.example.com/services/1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withSecrets lets an example, whose secrets are in /etc/scaler, where compose
// puts them, or systemd's, find some that are there.
func withSecrets(t *testing.T, text string) string {
	t.Helper()
	dir := secretsDir(t)
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	return strings.NewReplacer("/etc/scaler/", dir+"/", "/run/secrets/", dir+"/").Replace(text)
}

// load parses an example.
func load(t *testing.T, text string) {
	t.Helper()
	text = withSecrets(t, text)
	if _, err := config.Parse("example.yaml", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// complete adds to a part of a configuration what it lacks, from the
// shortest one.
func complete(t *testing.T, part string) string {
	t.Helper()
	var have []string
	for _, m := range topKey.FindAllStringSubmatch(part, -1) {
		have = append(have, m[1])
	}
	if slices.Contains(have, "gateway") {
		have = append(have, "pools") // which may then be left out
	}
	minimal := read(t, "configs/minimal.yaml")
	starts := topKey.FindAllStringSubmatchIndex(minimal, -1)
	for i, at := range starts {
		end := len(minimal)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		if !slices.Contains(have, minimal[at[2]:at[3]]) {
			part += minimal[at[0]:end]
		}
	}
	return part
}

func TestConfigurationsInDocumentsLoad(t *testing.T) {
	n := 0
	for name, texts := range blocks(t, "yaml") {
		for _, text := range texts {
			n++
			t.Run(name, func(t *testing.T) { load(t, complete(t, text)) })
		}
	}
	if n < 4 {
		t.Errorf("only %d examples found", n)
	}
}

// Whoever copies commands from a document gets no error of syntax.
func TestShellCommandsInDocumentsParse(t *testing.T) {
	shell := needs(t, "bash")
	n := 0
	for name, texts := range blocks(t, "sh") {
		for _, text := range texts {
			n++
			script := filepath.Join(t.TempDir(), "block.sh")
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := run(t, root, nil, shell, "-n", script); err != nil {
				t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d blocks found", n)
	}
}

func TestConfigsLoad(t *testing.T) {
	for _, name := range []string{"configs/minimal.yaml", "configs/scaler.yaml", "configs/compose/scaler.yaml", "configs/stack/scaler.yaml"} {
		t.Run(name, func(t *testing.T) { load(t, read(t, name)) })
	}
}

// Whoever follows a document must not meet a target that does not exist.
func TestMakeTargetsInDocumentsExist(t *testing.T) {
	targets := makeTargets(t)
	files := append(documents(t), "Dockerfile", ".ci/run", "compose.yaml", "compose.socket-proxy.yaml")
	for _, name := range files {
		for _, m := range makeUse.FindAllStringSubmatch(read(t, name), -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s: there is no make %s", name, m[1])
			}
		}
	}
	readme := read(t, "README.md")
	for _, want := range []string{"make demo", "make test", "make build"} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not mention %s", want)
		}
	}
}

// anchor is what a heading is linked to by.
func anchor(heading string) string {
	return strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// anchors are those of all headings. One that comes again gets a number.
func anchors(text string) (all []string) {
	seen := make(map[string]int)
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		a := anchor(h[1])
		if n := seen[a]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", a, n))
		} else {
			all = append(all, a)
		}
		seen[a]++
	}
	return all
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range mdLink.FindAllStringSubmatch(read(t, name), -1) {
			target := filepath.Join(filepath.Dir(name), m[1])
			if m[1] == "" { // a heading of the same document
				target = name
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if m[2] == "" {
				continue
			}
			if !slices.Contains(anchors(read(t, target)), m[2]) {
				t.Errorf("%s: %s has no heading #%s", name, target, m[2])
			}
		}
	}
}

func TestDocumentsAreFinished(t *testing.T) {
	unfinished := regexp.MustCompile(`(?i)\b(todo|fixme|xxx|tbd|for now|coming soon|work in progress|not yet implemented)\b`)
	for _, name := range append(documents(t), "Makefile", "Dockerfile", "compose.yaml", "compose.socket-proxy.yaml", "systemd/scaler.service", "systemd/scaler@.service", "scripts/engine", "scripts/release", "scripts/test") {
		if found := unfinished.FindString(read(t, name)); found != "" {
			t.Errorf("%s: %q", name, found)
		}
	}
	if text := read(t, "LICENSE"); !strings.HasPrefix(text, "MIT License\n") || !strings.Contains(text, "The scaler authors") {
		t.Error("LICENSE is not the MIT licence of the scaler authors")
	}
}
