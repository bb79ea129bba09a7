package doctor

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// told is a list of findings as text.
func told(list []Finding) []string {
	out := make([]string, 0, len(list))
	for _, f := range list {
		out = append(out, strings.Join([]string{f.Check, f.Subject, string(f.Result), f.Detail, f.Remedy, f.Took.String()}, "|"))
	}
	return out
}

func ok(after time.Duration) func(context.Context, *Report) {
	return func(_ context.Context, r *Report) {
		time.Sleep(after)
		r.OK("thing", "after %s", after)
	}
}

func fail(_ context.Context, r *Report) { r.Fail("thing", "broken", "mend it") }

func TestRunKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []string
		began := time.Now()
		list := Run(t.Context(), []Check{
			{ID: "slow", Timeout: time.Minute, Run: ok(3 * time.Second)},
			{ID: "quick", Timeout: time.Minute, Run: ok(time.Second)},
			{ID: "after", Needs: []string{"slow", "quick"}, Timeout: time.Minute, Run: ok(2 * time.Second)},
		}, func(f []Finding) { shown = append(shown, told(f)...) })
		want := []string{"slow|thing|ok|after 3s||3s", "quick|thing|ok|after 1s||1s", "after|thing|ok|after 2s||2s"}
		if got := told(list); !slices.Equal(got, want) || !slices.Equal(shown, want) {
			t.Errorf("found %q, shown %q, want %q", got, shown, want)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %s, so they did not run side by side", took)
		}
	})
}

func TestWhatNeedsAFailedCheckIsLeftOut(t *testing.T) {
	list := Run(t.Context(), []Check{
		{ID: "a", Timeout: time.Minute, Run: fail},
		{ID: "b", Subject: "b's thing", Needs: []string{"a"}, Timeout: time.Minute, Run: ok(0)},
		{ID: "c", Subject: "c's thing", Needs: []string{"b"}, Timeout: time.Minute, Run: ok(0)},
		{ID: "d", Timeout: time.Minute, Run: func(_ context.Context, r *Report) {
			r.Warn("thing", "odd", "look")
			r.Skip("other", "not %s", "here")
		}},
		{ID: "e", Needs: []string{"d"}, Timeout: time.Minute, Run: ok(0)},
	}, nil)
	var got []string
	for _, f := range list {
		got = append(got, strings.Join([]string{f.Check, f.Subject, string(f.Result), f.Detail, f.Remedy}, "|"))
	}
	want := []string{
		"a|thing|failed|broken|mend it",
		"b|b's thing|skipped|not tried, since this has failed: thing|",
		"c|c's thing|skipped|not tried, since this has failed: thing|",
		"d|thing|warning|odd|look", "d|other|skipped|not here|",
		"e|thing|ok|after 0s|",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if Count(list, ResultSkipped) != 3 || Count(list, ResultFailed) != 1 {
		t.Errorf("%d skipped, %d failed", Count(list, ResultSkipped), Count(list, ResultFailed))
	}
}

func TestCheckThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		list := Run(t.Context(), []Check{
			{ID: "deaf", Subject: "the disk", Timeout: 5 * time.Second, Run: func(_ context.Context, r *Report) {
				r.OK("begun", "it was")
				<-release
				r.OK("too late", "nobody hears it")
			}},
			{ID: "hears", Subject: "the host", Timeout: 5 * time.Second, Run: func(ctx context.Context, r *Report) {
				<-ctx.Done()
				r.Fail("the host", "it is silent", "call it")
			}},
		}, nil)
		close(release)
		synctest.Wait()
		want := []string{
			"deaf|begun|ok|it was||0s",
			"deaf|the disk|failed|no answer within 5s|find out what holds it up, such as a file system or a host that does not answer, and repeat this|6s",
			"hears|the host|failed|it is silent|call it|5s",
		}
		if got := told(list); !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		release := make(chan struct{})
		defer close(release)
		list := Run(ctx, []Check{{ID: "deaf", Subject: "the disk", Timeout: time.Minute, Run: func(context.Context, *Report) { <-release }}}, nil)
		if got := told(list); !slices.Equal(got, []string{"deaf|the disk|skipped|interrupted||2s"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestUnknownNeed(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a need that nothing meets was accepted")
		}
	}()
	Run(t.Context(), []Check{{ID: "a", Needs: []string{"b"}, Timeout: time.Minute, Run: ok(0)}}, nil)
}
