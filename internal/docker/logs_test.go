package docker

import (
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func testLogs(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "print", "9")
	id := start(t, e, r.instance+"-logs")
	ended(t, e, id)
	got, err := e.Logs(t.Context(), id, 3)
	if err != nil {
		t.Fatal(err)
	}
	// The engine reads the two streams side by side, so neighbours may swap.
	slices.Sort(got)
	if len(got) != 3 || !strings.HasPrefix(got[0], "line ") || strings.ContainsAny(strings.Join(got, ""), "\x1b\r") {
		t.Errorf("Logs(3) = %q", got)
	}
	all, err := e.Logs(t.Context(), id, 100)
	slices.Sort(all)
	want := []string{"line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9"}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("Logs(100) = %q, %v", all, err)
	}
	if none, err := e.Logs(t.Context(), id, 0); err != nil || none != nil {
		t.Errorf("Logs(0) = %q, %v", none, err)
	}
}

func testLogSize(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "cat", "/data/long")
	long := strings.Repeat("x", 600<<10) + "\nthe end\n"
	id := start(t, e, r.instance+"-logsize", plan.File{Path: "/data/long", Mode: 0o644, Data: []byte(long)})
	ended(t, e, id)
	got, err := e.Logs(t.Context(), id, 2)
	if err != nil || len(got) != 2 || got[1] != "the end" {
		t.Fatalf("Logs(2) = %d lines, %v", len(got), err)
	}
	if n := len([]rune(got[0])); n != maxLine+1 {
		t.Errorf("long line was cut to %d characters, want %d", n, maxLine+1)
	}
}

func TestCleanLines(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		n        int
		want     []string
	}{
		{"empty", "", 5, nil},
		{"last lines", "a\nb\nc\n", 2, []string{"b", "c"}},
		{"no final newline", "a\nb", 5, []string{"a", "b"}},
		{"carriage returns", "a\r\nb\r\n", 5, []string{"a", "b"}},
		{"colours", "\x1b[1;31mred\x1b[0m and \x1b[38:5:1mmore", 1, []string{"red and more"}},
		{"window title", "\x1b]0;owned\x07after", 1, []string{"after"}},
		{"hyperlink", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", 1, []string{"text"}},
		{"control characters", "a\x00\x08b\x7f\u0085c\td", 1, []string{"abc d"}},
		{"direction override", "a\u202eb\u200bc", 1, []string{"abc"}},
		{"invalid UTF-8", "a\xff\xfeb", 1, []string{"a\uFFFDb"}},
		{"umlaut", "größer ✓", 1, []string{"größer ✓"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := cleanLines(tc.in, tc.n); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	out := &tail{limit: 8}
	for range 1000 {
		if n, err := out.Write([]byte("abc")); n != 3 || err != nil {
			t.Fatalf("Write() = %d, %v", n, err)
		}
		if len(out.buf) > 3*out.limit {
			t.Fatalf("%d bytes are kept", len(out.buf))
		}
	}
	if got := out.String(); got != "bcabcabc" {
		t.Errorf("String() = %q", got)
	}
}
