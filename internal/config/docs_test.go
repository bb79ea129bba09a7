package config

import (
	"os"
	"strings"
	"testing"
)

func TestReferenceInTheDocsIsCurrent(t *testing.T) {
	const path = "../../docs/configuration.md"
	const mark = "<!-- reference: written by go test ./internal/config -update -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, table, found := strings.Cut(string(data), mark)
	if !found {
		t.Fatalf("%s has no line %q", path, mark)
	}
	want := "\n" + Reference()
	if *update {
		if err := os.WriteFile(path, []byte(text+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("%s is not current: run go test ./internal/config -update", path)
	}
}
