package server

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// bigPaths are the pages that show much where there is much.
var bigPaths = []string{"/", "/pools", "/pools/linux", "/runners", "/queue", "/queue?page=25", "/events"}

// bigWorld is a large daemon.
func bigWorld() *world {
	w := busyWorld(1000, 5000)
	for i := range 4096 {
		w.tell(plan.Event{At: time.Now(), Kind: plan.EventJobGone, Pool: "linux", Job: int64(i), Repo: "acme/tools", Text: "runner scaler-abcd-linux-000001 has it"})
	}
	return w
}

func BenchmarkPages(b *testing.B) {
	h := bigWorld().web(b, WebConfig{}, newFakeTokens()).Handler()
	for _, path := range bigPaths {
		b.Run(strings.ReplaceAll(path, "/", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != http.StatusOK {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
				b.ReportMetric(float64(w.Body.Len()), "bytes")
			}
		})
	}
}

// BenchmarkLiveSecond is what one watcher of a page costs in a second in which
// something happens: a look for a new version and one page.
func BenchmarkLiveSecond(b *testing.B) {
	web := bigWorld().web(b, WebConfig{}, newFakeTokens())
	h := web.Handler()
	for _, path := range bigPaths {
		b.Run(strings.ReplaceAll(path, "/", "-"), func(b *testing.B) {
			for b.Loop() {
				_ = web.version()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
			}
			b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(liveEvery), "%-of-a-core")
		})
	}
}

// A page of a large daemon is there at once, and is of a size that a browser
// copes with.
func TestBigPages(t *testing.T) {
	h := bigWorld().web(t, WebConfig{}, newFakeTokens()).Handler()
	for _, path := range bigPaths {
		var took []time.Duration
		for range 5 {
			w, began := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			took = append(took, time.Since(began))
			if w.Code != http.StatusOK || w.Body.Len() > 300_000 {
				t.Errorf("%s: %d with %d bytes", path, w.Code, w.Body.Len())
			}
		}
		if best := slices.Min(took); best > 200*time.Millisecond {
			t.Errorf("%s takes %s, want 200 ms at most", path, best)
		}
	}
}
