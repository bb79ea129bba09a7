package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// emptied returns how many runners have an empty .runner file.
func (r *rig) emptied() (n int) {
	r.t.Helper()
	for _, s := range r.m.Status().Runners {
		if data, err := r.engine.ReadFile(r.t.Context(), s.Container, "/data/.runner"); err == nil && len(data) == 0 {
			n++
		}
	}
	return n
}

func (r *rig) wantEmptied(when string, want int) {
	r.t.Helper()
	if n := r.emptied(); n != want {
		r.t.Errorf("%d .runner files are empty %s, want %d", n, when, want)
	}
}

// To empty .runner files makes way for starts, but not for ever.
func TestEmptyingRunnerFilesMakesWayForStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.StartTime = 20 * time.Second
		r.config.Spec.Pools[0].Max, r.config.ParallelStarts = 6, 1
		r.run()
		r.queue(6, time.Hour)
		r.after(75 * time.Second)
		r.wantEmptied("while others start, within a minute of the first start", 0)
		r.after(10 * time.Second)
		r.wantEmptied("a minute after the first start", 1)
		r.after(20 * time.Second)
		r.wantEmptied("a minute after the second", 2)
		r.after(25 * time.Second)
		r.wantEmptied("after all were started", 6)
		r.stop()
		r.killAll()
	})
}

// What starts leave free of the places in the engine is enough to empty .runner files.
func TestRunnerFilesAreEmptiedBesideStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.StartTime = 4 * time.Second
		r.config.ParallelStarts = 2
		r.run()
		r.queue(1, time.Hour)
		r.m.Trigger()
		r.after(3 * time.Second)
		r.queue(1, time.Hour)
		r.m.Trigger()
		r.after(3 * time.Second)
		if n := r.engine.Calls("Start"); n != 1 {
			t.Fatalf("%d runners are started, want 1 and the second on its way", n)
		}
		r.wantEmptied("of one runner while the second is started", 1)
		r.stop()
		r.killAll()
	})
}

// The engine gets no more files to empty at a time than it may start runners, and
// the next one as soon as one is done.
func TestFewRunnerFilesAreEmptiedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.WriteTime = 400 * time.Millisecond
		r.config.Spec.Pools[0].Max, r.config.ParallelStarts = 40, 4
		r.run()
		r.queue(40, time.Hour)
		r.after(9 * time.Second) // of which the starts take three
		r.wantJobs(giteatest.StatusInProgress, 40)
		r.wantEmptied("once there was time for all, and for ten polls", 40)
		if n := r.engine.MostWrites(); n != 4 {
			t.Errorf("up to %d files were being emptied at a time, want 4", n)
		}
		r.stop()
		r.killAll()
	})
}
