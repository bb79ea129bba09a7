package plan

import (
	"testing"
	"time"
)

func TestPolls(t *testing.T) {
	p := Polls{Active: 250 * time.Millisecond, Usual: time.Second}
	for _, tt := range []struct{ since, want time.Duration }{
		{-time.Hour, 250 * time.Millisecond}, // a clock that was set back
		{0, 250 * time.Millisecond},
		{7500 * time.Millisecond, 250 * time.Millisecond},
		{15 * time.Second, 500 * time.Millisecond},
		{p.Faded(), time.Second},
		{time.Hour, time.Second},
	} {
		if got := p.After(tt.since); got != tt.want {
			t.Errorf("%s after something: %s, want %s", tt.since, got, tt.want)
		}
	}
	if got := p.After(16 * time.Second); got != 500*time.Millisecond {
		t.Errorf("%s after 16 s, want whole steps", got)
	}
	n := 0
	for since := time.Duration(0); since < p.Faded(); since += p.After(since) {
		n++
	}
	if n < 30 || n > 75 {
		t.Errorf("%d polls until the usual pace, want 30 for that alone and some more", n)
	}
}
