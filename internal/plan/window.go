package plan

import (
	"sync/atomic"
	"time"
)

// Window is a recurring stretch of time with numbers of its own for a pool.
type Window struct {
	Name string // for people
	// Next returns the first start of the window after a moment, zero if there
	// is none. It is pure and safe for concurrent use.
	Next func(after time.Time) time.Time
	// Duration is how long the window lasts from each start, in elapsed time.
	// What begins again before it has ended, or just then, goes on.
	Duration time.Duration
	// The numbers of the pool that the window sets; nil leaves the pool's own.
	Min, Idle, Max *int
	IdleTimeout    *time.Duration
	// Auto has Idle be chosen from the pool's arrivals. With Idle that number
	// holds, whatever the pool's own Auto is.
	Auto *Auto
}

// Windows are those of one pool, in the order of the file. Where several cover
// a moment the last of them holds, alone: what it does not set is the pool's
// own, and not that of the others. A nil *Windows is none.
type Windows struct {
	list []Window
	// last remembers what was found out, for the moments nearby. Answers do not
	// depend on it.
	last atomic.Pointer[span]
}

// NewWindows makes the windows of a pool, nil if there are none.
func NewWindows(list ...Window) *Windows {
	if len(list) == 0 {
		return nil
	}
	return &Windows{list: list}
}

// ScheduleState says which of a pool's windows holds at some moment.
type ScheduleState struct {
	Window string // the name of the one that holds, "" for none
	// Next is when another one will hold, or none. It is zero if that is not
	// within a year, or not to be found at reasonable cost: see maxStarts.
	Next       time.Time
	NextWindow string // what will hold then, "" for none
}

// At returns the pool with the numbers that hold at a moment and without
// windows, and which window set them.
func (p Pool) At(now time.Time) (Pool, ScheduleState) {
	s := p.Windows.at(now)
	return p.under(s.window), s.state
}

// under is the pool with the numbers of a window.
func (p Pool) under(w *Window) Pool {
	p.Windows = nil
	set(&p.Min, w.Min)
	switch {
	case w.Idle != nil:
		p.Idle, p.Auto, p.IdleWhy = *w.Idle, nil, ""
	case w.Auto != nil:
		p.Auto = w.Auto
	}
	set(&p.Max, w.Max)
	set(&p.IdleTimeout, w.IdleTimeout)
	return p
}

func set[T any](value, to *T) {
	if to != nil {
		*value = *to
	}
}

const (
	// lookAhead is how far ahead the next change is looked for.
	lookAhead = 366 * 24 * time.Hour
	// lookAgain is how often that is done at least. All moments of one such
	// stretch look as far, so that they find the same.
	lookAgain = 24 * time.Hour
	// maxStarts is how many starts are looked at to find the end of a window
	// that begins again and again before it has ended. It covers a week of
	// minutes, and takes some tens of milliseconds, once a day.
	maxStarts = 20_000
)

// span is a stretch of time for which one answer is right.
type span struct {
	from, until time.Time
	state       ScheduleState
	window      *Window // the one that holds; it sets nothing if there is none
	next        *Window // likewise the one that will at state.Next
}

// always is the answer where there are no windows.
var always = &span{window: &Window{}, next: &Window{}}

func (ws *Windows) at(now time.Time) *span {
	if ws == nil {
		return always
	}
	now = now.Round(0) // starts are read from the wall clock, which may be set back
	if s := ws.last.Load(); s != nil && !now.Before(s.from) && now.Before(s.until) {
		return s
	}
	s := ws.find(now)
	ws.last.Store(s)
	return s
}

// find works out the answer for a moment, and for how long it is right.
func (ws *Windows) find(now time.Time) *span {
	day := now.Truncate(lookAgain)
	horizon := day.Add(lookAhead)
	i := ws.holder(now)
	s := &span{from: now, until: day.Add(lookAgain), window: always.window, next: always.next}
	var end time.Time
	known := true
	if i != none {
		s.window = &ws.list[i]
		s.state.Window = s.window.Name
		end, known = s.window.end(now, day, horizon)
	}
	change := end
	// Whatever is above the holder takes over as soon as it begins. What is
	// below it does not show before it ends.
	for k := i + 1; k < len(ws.list); k++ {
		change = earlier(change, ws.list[k].Next(now))
	}
	if change.IsZero() || change.After(horizon) || !known && change.Equal(end) {
		return s
	}
	s.until = earlier(s.until, change)
	s.state.Next = change
	if next := ws.holder(change); next != none {
		s.next = &ws.list[next]
		s.state.NextWindow = s.next.Name
	}
	return s
}

// holder is the window that holds at a moment, or none.
func (ws *Windows) holder(at time.Time) int {
	for i := len(ws.list) - 1; i >= 0; i-- {
		if ws.list[i].covers(at) {
			return i
		}
	}
	return none
}

// covers reports whether the window has begun and not ended.
func (w *Window) covers(at time.Time) bool {
	start := w.Next(at.Add(-w.Duration))
	return !start.IsZero() && !start.After(at)
}

// end is when the window ends that covers a moment of the day. If it is not
// known, the window lasts until then at least.
func (w *Window) end(at, day, horizon time.Time) (end time.Time, known bool) {
	start := w.Next(day.Add(-w.Duration))
	for range maxStarts {
		if start.IsZero() || start.After(end) && end.After(at) {
			return end, true
		}
		if end.After(horizon) {
			break
		}
		end = start.Add(w.Duration)
		start = w.Next(start)
	}
	return end, false
}

// earlier is the first of two moments; zero stands for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// note names a window that sets a number and says how long it holds, to stand
// behind a reason.
func (s *span) note(sets bool, now time.Time) string {
	if !sets {
		return ""
	}
	text := " (window " + s.state.Window
	if until := s.state.Next; !until.IsZero() {
		text += ", until " + moment(until, now)
	}
	return text + ")"
}

// moment prints a time to come, with its date if that is not to be guessed.
func moment(at, now time.Time) string {
	format := "15:04 MST"
	if at.Sub(now) >= 24*time.Hour {
		format = "2006-01-02 " + format
	}
	return at.Format(format)
}
