package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

const (
	// screenEvery is how often what is shown is asked for.
	screenEvery = time.Second
	// screenTimeout bounds one question.
	screenTimeout = 10 * time.Second
	// sideStep is how many columns a key moves the text to the side.
	sideStep = 8
)

var (
	barStyle    = lipgloss.NewStyle().Reverse(true)
	chosenStyle = lipgloss.NewStyle().Bold(true).Underline(true)
	headStyle   = lipgloss.NewStyle().Bold(true)
	alarmStyle  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
)

// display is what a full screen shows.
type display interface {
	// fetch asks for what is shown, beside the other methods and never twice at a
	// time; take has it shown from then on. On an error the last answer is shown on.
	fetch(ctx context.Context) (take func(), err error)
	// views names the ways to look at it, choose chooses one of them.
	views() []string
	choose(view int)
	chosen() int
	// draw writes it so that it fits the width as well as it can.
	draw(b *bytes.Buffer, now time.Time, width int)
}

// terminal reports whether a writer is a terminal.
func terminal(out io.Writer) (*os.File, bool) {
	f, ok := out.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// fullScreen shows a display on a terminal until q, Ctrl-C or the end of ctx, and
// leaves the terminal as it was. One that cannot be had at first is an error;
// later it is waited for.
func fullScreen(ctx context.Context, in io.Reader, out *os.File, d display) error {
	first := fetch(ctx, d)
	if first.err != nil {
		return first.err
	}
	first.take()
	if f, ok := in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		in = nil // there are no keys then, and a signal ends it
	}
	_, err := tea.NewProgram(newScreen(ctx, d), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if ctx.Err() != nil || err == nil || strings.Contains(err.Error(), tea.ErrInterrupted.Error()) {
		return nil
	}
	return fmt.Errorf("show on the terminal: %w", err)
}

func fetch(ctx context.Context, d display) fetchedMsg {
	ctx, cancel := context.WithTimeout(ctx, screenTimeout)
	defer cancel()
	take, err := d.fetch(ctx)
	return fetchedMsg{take, err}
}

// screen shows a display. It is the model of a program on a terminal.
type screen struct {
	ctx           context.Context
	shown         display
	width, height int
	top, left     int // what is scrolled away
	outage        string
	now           func() time.Time
}

func newScreen(ctx context.Context, d display) screen {
	return screen{ctx: ctx, shown: d, width: 80, height: 24, now: time.Now}
}

// The messages beside those of the terminal: it is time to ask, and it was asked.
type (
	dueMsg     struct{}
	fetchedMsg struct {
		take func()
		err  error
	}
)

func due() tea.Cmd { return tea.Tick(screenEvery, func(time.Time) tea.Msg { return dueMsg{} }) }

// Init implements tea.Model.
func (s screen) Init() tea.Cmd { return due() }

// Update implements tea.Model.
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = max(msg.Width, 1), max(msg.Height, 1)
	case dueMsg:
		return s, func() tea.Msg { return fetch(s.ctx, s.shown) }
	case fetchedMsg:
		s.outage = ""
		if msg.err != nil {
			s.outage = msg.err.Error()
		} else {
			msg.take()
		}
		return s, due()
	case tea.KeyPressMsg:
		return s.press(msg.String())
	}
	return s, nil
}

// press does what a key is for.
func (s screen) press(key string) (tea.Model, tea.Cmd) {
	views, body := len(s.shown.views()), s.room()
	switch key {
	case "q", "esc", "ctrl+c":
		return s, tea.Quit
	case "up", "k":
		s.top--
	case "down", "j":
		s.top++
	case "pgup", "b":
		s.top -= body
	case "pgdown", "space":
		s.top += body
	case "home", "g":
		s.top, s.left = 0, 0
	case "end", "G":
		s.top = len(s.lines())
	case "left", "h":
		s.left = max(s.left-sideStep, 0)
	case "right", "l":
		s.left += sideStep
	case "tab":
		s.show((s.shown.chosen() + 1) % views)
	case "shift+tab":
		s.show((s.shown.chosen() + views - 1) % views)
	default:
		if len(key) == 1 && key[0] >= '1' && int(key[0]-'1') < views {
			s.show(int(key[0] - '1'))
		}
	}
	s.top = max(min(s.top, len(s.lines())-body), 0)
	return s, nil
}

func (s *screen) show(view int) {
	s.shown.choose(view)
	s.top, s.left = 0, 0
}

// room is how many lines there are between the first and the last one.
func (s screen) room() int { return max(s.height-2, 1) }

// lines are those of the display.
func (s screen) lines() []string {
	var b bytes.Buffer
	s.shown.draw(&b, s.now(), s.width)
	return strings.Split(strings.Trim(b.String(), "\n"), "\n")
}

// View implements tea.Model.
func (s screen) View() tea.View {
	v := tea.NewView(s.text())
	v.AltScreen = true
	v.WindowTitle = "scaler"
	return v
}

// text is what fills the terminal, neither wider nor higher than it is.
func (s screen) text() string {
	lines := s.lines()
	top := max(min(s.top, len(lines)-s.room()), 0)
	visible := lines[top:min(top+s.room(), len(lines))]
	all := []string{s.bar()}
	for _, line := range visible {
		line = ansi.Cut(line, s.left, s.left+max(ansi.StringWidth(line), s.width))
		all = append(all, highlight(ansi.Truncate(line, s.width, "…")))
	}
	all = append(all, slices.Repeat([]string{""}, s.room()-len(visible))...)
	if s.height > 1 {
		all = append(all, s.foot(len(lines)-top-len(visible)))
	}
	return strings.Join(all[:min(len(all), s.height)], "\n")
}

// bar is the first line: the views, and which of them it is.
func (s screen) bar() string {
	var names []string
	for i, name := range s.shown.views() {
		name = fmt.Sprintf("%d %s", i+1, name)
		if i == s.shown.chosen() {
			name = chosenStyle.Render(name)
		}
		names = append(names, name)
	}
	return ansi.Truncate(strings.Join(names, "  "), s.width, "…")
}

// foot is the last line: what is wrong with the answers, how much is hidden, and
// the keys.
func (s screen) foot(below int) string {
	if s.outage != "" {
		return alarmStyle.Render(ansi.Truncate("Old: "+clean(s.outage), s.width, "…"))
	}
	text := "q quit  tab view  ↑↓ scroll"
	if below > 0 {
		text = fmt.Sprintf("%d more lines below  %s", below, text)
	}
	text = ansi.Truncate(text, s.width, "…")
	return barStyle.Render(text + strings.Repeat(" ", max(s.width-ansi.StringWidth(text), 0)))
}

// highlight makes headings and problems stand out.
func highlight(line string) string {
	switch {
	case strings.HasPrefix(line, "  ! "):
		return alarmStyle.Render(line)
	case line != "" && line[0] >= 'A' && line[0] <= 'Z' && strings.ToUpper(line) == line:
		return headStyle.Render(line)
	}
	return line
}
