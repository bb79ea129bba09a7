package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"golang.org/x/term"

	"scaler.io/scaler/internal/plan"
)

// watchInterval is how often a watched daemon is asked.
const watchInterval = time.Second

// Control sequences of a terminal. Lines are overwritten one by one and not
// cleared before, which would flicker.
const (
	cursorHome = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// statusSource is a daemon to be watched.
type statusSource interface {
	Status(context.Context) (plan.Status, error)
}

// watcher shows a daemon's status again and again.
type watcher struct {
	source statusSource
	out    io.Writer
	errs   io.Writer
	json   bool
	size   func() (width, height int) // of the terminal; nil if out is none
	last   plan.Status                // what was printed, without its cycle
	outage string                     // the error that was printed
}

func newWatcher(source statusSource, out, errs io.Writer, asJSON bool) *watcher {
	w := &watcher{source: source, out: out, errs: errs, json: asJSON}
	if f, ok := out.(*os.File); ok && !asJSON && term.IsTerminal(int(f.Fd())) {
		w.size = func() (int, int) {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return width, height
		}
	}
	return w
}

// run shows the status until ctx ends, which is no error. A daemon that does
// not answer at first is one; later it is waited for, as it may be restarted.
func (w *watcher) run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for first := true; ; first = false {
		s, err := w.source.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		}
		if err := w.show(s, err); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// show prints a status, or that there is none.
func (w *watcher) show(s plan.Status, outage error) error {
	switch {
	case w.size != nil:
		return w.draw(s, outage)
	case outage != nil && outage.Error() != w.outage:
		w.outage = outage.Error()
		fmt.Fprintf(w.errs, "scaler: %v\n", outage)
		return nil
	case outage != nil:
		return nil
	}
	w.outage = ""
	same := s
	same.Cycle, same.CycleAt, same.DueAt = 0, time.Time{}, time.Time{}
	if reflect.DeepEqual(same, w.last) {
		return nil
	}
	w.last = same
	return w.print(s)
}

// print prints a status as one block of text or one line of JSON.
func (w *watcher) print(s plan.Status) error {
	var b bytes.Buffer
	if w.json {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			return fmt.Errorf("print JSON: %w", err)
		}
		return printTo(w.out, b.Bytes())
	}
	fmt.Fprintf(&b, "--- %s\n", clock(time.Now()))
	writeStatus(&b, s, time.Now(), textWidth)
	b.WriteByte('\n')
	return printTo(w.out, b.Bytes())
}

// draw fills the terminal.
func (w *watcher) draw(s plan.Status, outage error) error {
	var b bytes.Buffer
	width, height := w.size()
	if outage != nil {
		fmt.Fprintf(&b, "%s\n\n", clock(time.Now()))
		wrap(&b, "", outage.Error(), width)
		b.WriteString("Waiting for it. Ctrl-C ends.\n")
	} else {
		writeStatus(&b, s, time.Now(), width)
	}
	return printTo(w.out, frame(b.String(), width, height))
}

// frame returns what draws text on a terminal from its first line on, cut to
// its size: a line that wraps or scrolls would leave traces in the next frame.
func frame(text string, width, height int) []byte {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height = max(height, 2); len(lines) > height-1 {
		hidden := len(lines) - (height - 2)
		lines = append(lines[:height-2:height-2], fmt.Sprintf("… %d more lines: make the window higher", hidden))
	}
	var b bytes.Buffer
	b.WriteString(cursorHome)
	for _, line := range lines {
		b.WriteString(cut(line, max(width, 2)) + clearLine + "\r\n")
	}
	b.WriteString(clearBelow)
	return b.Bytes()
}
