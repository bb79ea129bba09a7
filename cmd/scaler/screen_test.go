package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"scaler.io/scaler/internal/plan"
)

// fakeDisplay shows as many lines as it is told, and the view.
type fakeDisplay struct {
	lines, view int
	err         error
	shown       int // how often an answer was taken
}

func (f *fakeDisplay) fetch(context.Context) (func(), error) { return func() { f.shown++ }, f.err }
func (f *fakeDisplay) views() []string                       { return []string{"one", "two", "three"} }
func (f *fakeDisplay) choose(view int)                       { f.view = view }
func (f *fakeDisplay) chosen() int                           { return f.view }

func (f *fakeDisplay) draw(b *bytes.Buffer, _ time.Time, _ int) {
	for i := range f.lines {
		fmt.Fprintf(b, "line %d of view %d\n", i+1, f.view)
	}
}

// after is a screen of a size after some keys.
func after(d display, width, height int, keys ...string) screen {
	var m tea.Model = newScreen(context.Background(), d)
	m, _ = m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for _, k := range keys {
		m, _ = m.(screen).press(k)
	}
	return m.(screen)
}

func TestScreenFitsTheTerminal(t *testing.T) {
	status := &statusScreen{status: badNight()}
	for _, size := range [][2]int{{200, 60}, {80, 24}, {40, 12}, {20, 5}, {3, 3}, {1, 1}} {
		for view := range statusViews {
			status.choose(view)
			lines := strings.Split(ansi.Strip(after(status, size[0], size[1]).text()), "\n")
			if len(lines) != size[1] {
				t.Errorf("%d lines on a terminal of %v", len(lines), size)
			}
			for _, line := range lines {
				if n := ansi.StringWidth(line); n > size[0] || !utf8.ValidString(line) {
					t.Errorf("on a terminal of %v: %q has %d columns", size, line, n)
				}
			}
		}
	}
}

func TestScreenKeys(t *testing.T) {
	tests := []struct {
		keys  string
		first string // of the lines that are shown
		last  string
	}{
		{"", "line 1 of view 0", "line 8 of view 0"},
		{"down down", "line 3 of view 0", "line 10 of view 0"},
		{"up", "line 1 of view 0", "line 8 of view 0"},
		{"pgdown", "line 9 of view 0", "line 16 of view 0"},
		{"end", "line 13 of view 0", "line 20 of view 0"},
		{"end down", "line 13 of view 0", "line 20 of view 0"},
		{"end home", "line 1 of view 0", "line 8 of view 0"},
		{"down tab", "line 1 of view 1", "line 8 of view 1"},
		{"shift+tab", "line 1 of view 2", "line 8 of view 2"},
		{"3 4", "line 1 of view 2", "line 8 of view 2"},
		{"right left left", "line 1 of view 0", "line 8 of view 0"},
		{"right", "f view 0", "f view 0"},
	}
	for _, tt := range tests {
		lines := strings.Split(ansi.Strip(after(&fakeDisplay{lines: 20}, 60, 10, strings.Fields(tt.keys)...).text()), "\n")
		if lines[1] != tt.first || lines[8] != tt.last || !strings.HasPrefix(lines[0], "1 one  2 two  3 three") {
			t.Errorf("%q: %q", tt.keys, lines)
		}
	}
	if _, cmd := after(&fakeDisplay{}, 80, 24).press("q"); cmd == nil {
		t.Error("q does not end it")
	} else if _, quits := cmd().(tea.QuitMsg); !quits {
		t.Error("q does something else")
	}
}

func TestScreenSaysThatItIsOld(t *testing.T) {
	d := &fakeDisplay{lines: 2}
	s := after(d, 80, 24)
	step := func(err error) {
		d.err = err
		m, cmd := s.Update(dueMsg{})
		m, again := m.Update(cmd())
		if s = m.(screen); again == nil {
			t.Fatal("nothing is asked for any more")
		}
	}
	step(errors.New("nobody answers"))
	if text := ansi.Strip(s.text()); d.shown != 0 || !strings.Contains(text, "line 2") || !strings.Contains(text, "Old: nobody answers") {
		t.Errorf("during an outage: %q", text)
	}
	step(nil)
	if text := s.text(); d.shown != 1 || strings.Contains(text, "nobody answers") {
		t.Errorf("after it: %q", text)
	}
	if err := fullScreen(t.Context(), nil, nil, &fakeDisplay{err: errors.New("nobody")}); err == nil || err.Error() != "nobody" {
		t.Errorf("without a first answer: %v", err)
	}
}

func TestFitTable(t *testing.T) {
	rows := [][]string{{"NAME", "POOL", "WHY"}, {"a", "linux", "it has a job and does not need another"}}
	for width, want := range map[int]string{
		60: "  NAME  POOL   WHY\n  a     linux  it has a job and does not need another\n",
		40: "  NAME  POOL   WHY\n  a     linux  it has a job and does no…\n",
		35: "  NAME  WHY\n  a     it has a job and does not …\n",
		19: "  NAME  WHY\n  a     it has a j…\n",
		2:  "  NAME  …\n  a     …\n",
	} {
		var b bytes.Buffer
		fitTable(&b, rows, width, "POOL", "NONE")
		if b.String() != want {
			t.Errorf("width %d: %q, want %q", width, b.String(), want)
		}
	}
	if rows[1][2] != "it has a job and does not need another" || len(rows[0]) != 3 {
		t.Errorf("the rows were changed: %q", rows)
	}
}

func TestShortName(t *testing.T) {
	const name = "scaler-3f2a9c0b71de-linux-big-k2jq7xwd"
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{{name, 80, name}, {name, 79, "…linux-big-k2jq7xwd"}, {"linux-busy", 10, "linux-busy"}, {"scaler-x", 10, "scaler-x"}} {
		if got := shortName(tt.name, tt.width); got != tt.want {
			t.Errorf("%s at %d: %q, want %q", tt.name, tt.width, got, tt.want)
		}
	}
}

func TestStatusTellsOfPauses(t *testing.T) {
	s := badNight()
	s.Pools[0].Paused = &plan.Pause{Since: noon.Add(-time.Hour), By: "alice", Reason: "new \x1bdisks"}
	s.Pools[1].Paused = &plan.Pause{Since: noon.Add(-time.Hour), By: "bob", Drain: true}
	s.Runners[0].Leave = &plan.Pause{Since: noon.Add(-time.Minute), By: "bob", Drain: true}
	var b bytes.Buffer
	writeStatus(&b, s, noon, textWidth)
	want := `
PAUSED AND DRAINED (3)
  WHAT            NAME        BY     SINCE                    REASON
  paused pool     linux       alice  2026-03-01 11:00:00 UTC  new ?disks
  drained pool    windows     bob    2026-03-01 11:00:00 UTC  -
  drained runner  linux-busy  bob    2026-03-01 11:59:00 UTC  -
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("got %s\nwant it to have %s", b.String(), want)
	}
}
