package plan

import (
	"testing"
	"time"
)

func TestFromZero(t *testing.T) {
	two, nine := 2, 9
	next := func(after time.Time) time.Time { return after.Truncate(time.Hour).Add(time.Hour) }
	p := Pool{Name: "linux", Min: 1, Idle: 3, Max: 5, Auto: &Auto{Most: 4}, Windows: NewWindows(
		Window{Name: "each hour", Next: next, Duration: time.Minute, Min: &two, Max: &nine, Auto: &Auto{Most: 4}})}
	zero := p.FromZero()
	for name, at := range map[string]time.Time{"in the window": now.Truncate(time.Hour), "outside": now.Truncate(time.Hour).Add(time.Minute)} {
		before, schedule := p.At(at)
		after, same := zero.At(at)
		if after.Min != 0 || after.Idle != 0 || after.Auto != nil || after.Max != before.Max || same != schedule {
			t.Errorf("%s: %+v under %+v, was %+v under %+v", name, after, same, before, schedule)
		}
	}
	if in, _ := p.At(now.Truncate(time.Hour)); in.Min != 2 || in.Auto == nil || in.Max != 9 {
		t.Errorf("the pool itself is changed, or the test is wrong: %+v", in)
	}
}
