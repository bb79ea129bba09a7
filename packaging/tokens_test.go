package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of what the proposal asks for names a test for each point. Each of
// them has to be there.
func TestTokenTableNamesTests(t *testing.T) {
	_, table, found := strings.Cut(read(t, "docs/tokens.md"), "\n| Point | Here | Shown by |\n")
	if !found {
		t.Fatal("docs/tokens.md has no table of the proposal's points")
	}
	named := regexp.MustCompile("`([a-z0-9/]+)`: ((?:(?:Test|check)[A-Za-z]+(?:, )?)+)")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		shown := named.FindAllStringSubmatch(line, -1)
		if len(shown) == 0 {
			t.Errorf("no test is named in: %s", line)
		}
		for _, m := range shown {
			code := testCode(t, m[1])
			for name := range strings.SplitSeq(m[2], ", ") {
				if !strings.Contains(code, "\nfunc "+name+"(") {
					t.Errorf("%s has no %s", m[1], name)
				}
			}
		}
	}
	if rows < 13 {
		t.Errorf("%d points, want all of the proposal's", rows)
	}
}

// testCode returns the test files of a package.
func testCode(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", pkg, err)
	}
	var code strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(data)
	}
	return code.String()
}
