package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"time"

	"scaler.io/scaler/internal/plan"
)

// watchInterval is how often a watched daemon is asked.
const watchInterval = time.Second

// statusSource is a daemon to be watched.
type statusSource interface {
	Status(context.Context) (plan.Status, error)
}

// watcher prints a daemon's status again and again, where there is no terminal.
type watcher struct {
	source statusSource
	out    io.Writer
	errs   io.Writer
	json   bool
	last   plan.Status // what was printed, without its cycle
	outage string      // the error that was printed
}

func newWatcher(source statusSource, out, errs io.Writer, asJSON bool) *watcher {
	return &watcher{source: source, out: out, errs: errs, json: asJSON}
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
	if w.json {
		return printLine(w.out, s)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "--- %s\n", clock(time.Now()))
	writeStatus(&b, s, time.Now(), textWidth)
	b.WriteByte('\n')
	return printTo(w.out, b.Bytes())
}
