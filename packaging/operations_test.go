package packaging

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// firstColumn returns what stands in backquotes in the first column of the
// tables of a section.
func firstColumn(t *testing.T, document, title string) []string {
	t.Helper()
	_, section, found := strings.Cut(read(t, document), "\n## "+title+"\n")
	if !found {
		t.Fatalf("%s has no section %q", document, title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var words []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") {
			for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
				words = append(words, m[1])
			}
		}
	}
	if len(words) < 5 {
		t.Fatalf("%s, %s: only %v found", document, title, words)
	}
	return words
}

// sources returns all Go code that is not a test's.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			all.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// Somebody who searches the log for a message of the table must find it.
func TestLogMessagesInDocumentsExist(t *testing.T) {
	code := sources(t)
	for _, message := range firstColumn(t, "docs/operations.md", "The log") {
		if !strings.Contains(code, `"`+message+`"`) {
			t.Errorf("docs/operations.md: no code logs %q", message)
		}
	}
}

func TestStatusFieldsInDocumentsExist(t *testing.T) {
	code := read(t, "internal/plan/status.go")
	for _, field := range firstColumn(t, "docs/operations.md", "What status shows") {
		field = field[strings.LastIndex(field, ".")+1:]
		if !strings.Contains(code, `json:"`+field) {
			t.Errorf("docs/operations.md: the status has no field %q", field)
		}
	}
}

// The table of packages has every one, but for those that serve tests alone, and no
// other.
func TestPackagesInDocumentsAreThoseThatThereAre(t *testing.T) {
	documented := firstColumn(t, "docs/architecture.md", "Packages")
	files, err := filepath.Glob(filepath.Join(root, "internal", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string]bool)
	for _, file := range files {
		packages[strings.TrimPrefix(filepath.Dir(file), root+"/")] = true
	}
	for name := range packages {
		if !slices.Contains(documented, name) && !strings.HasSuffix(name, "test") {
			t.Errorf("docs/architecture.md lacks %s", name)
		}
	}
	for _, name := range documented {
		if strings.HasPrefix(name, "internal/") && strings.Count(name, "/") == 1 && !packages[name] {
			t.Errorf("docs/architecture.md has %s, which there is not", name)
		}
	}
}

func TestPhasesInDocumentsExist(t *testing.T) {
	code := read(t, "internal/plan/spec.go")
	for _, phase := range firstColumn(t, "docs/architecture.md", "The life of a runner") {
		if !strings.Contains(code, `Phase = "`+phase+`"`) {
			t.Errorf("docs/architecture.md: there is no phase %q", phase)
		}
	}
}
