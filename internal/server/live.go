package server

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// liveEvery is how often the state is looked at while somebody watches. It
	// is also what several changes are told together within.
	liveEvery = time.Second
	// liveBeat is how often a stream says that it is still there, so that
	// proxies keep it open and a browser that has gone is noticed.
	liveBeat = 20 * time.Second
	// liveTime bounds a stream. The browser begins another one, for which the
	// login counts anew.
	liveTime = 15 * time.Minute
	// liveWrite is how long a browser may take for one message.
	liveWrite = 10 * time.Second
	// maxStreams bounds how many streams there are at once.
	maxStreams = 100
)

// liveHub tells those who watch which version of the state there is. It looks
// only while somebody watches.
type liveHub struct {
	version func() string

	mu       sync.Mutex
	watchers map[chan string]struct{}
	looking  context.CancelFunc // nil while nobody watches
	closed   chan struct{}
	closing  sync.Once
}

func newLiveHub(version func() string) *liveHub {
	return &liveHub{version: version, watchers: make(map[chan string]struct{}), closed: make(chan struct{})}
}

// join returns a channel of versions, which a slow reader sees the newest of
// only; ok is false if too many watch.
func (h *liveHub) join() (news chan string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= maxStreams {
		return nil, false
	}
	news = make(chan string, 1)
	h.watchers[news] = struct{}{}
	if h.looking == nil {
		var ctx context.Context
		ctx, h.looking = context.WithCancel(context.Background())
		go h.look(ctx, h.version())
	}
	return news, true
}

// leave ends what join began.
func (h *liveHub) leave(news chan string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, news)
	if len(h.watchers) == 0 && h.looking != nil {
		h.looking()
		h.looking = nil
	}
}

// close ends all streams, now and later.
func (h *liveHub) close() { h.closing.Do(func() { close(h.closed) }) }

// look tells the watchers of each version after the last one until ctx ends.
func (h *liveHub) look(ctx context.Context, last string) {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if version := h.version(); version != last {
			last = version
			h.tell(version)
		}
	}
}

// tell gives all watchers a version, in place of one that they have not read.
func (h *liveHub) tell(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for news := range h.watchers {
		select {
		case <-news:
		default:
		}
		news <- version // there is room: only this method sends, with the lock
	}
}

// getLive answers a stream of the versions of the state, as server-sent events:
// the one that holds, and then each new one. A page that shows another version
// fetches itself again.
func (web *Web) getLive(w http.ResponseWriter, r *http.Request) {
	news, ok := web.live.join()
	if !ok {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "Too many pages are watched live. Reload to see what is new.", http.StatusServiceUnavailable)
		return
	}
	defer web.live.leave(news)
	control := http.NewResponseController(w)
	// The deadlines of the server are those of a page. Where they cannot be
	// changed there is nothing to be cut off.
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(liveWrite))
		if _, err := fmt.Fprintf(w, "%s\n\n", text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !send("retry: 3000\nevent: version\ndata: " + web.version()) {
		return
	}
	beat, end := time.NewTicker(liveBeat), time.NewTimer(liveTime)
	defer beat.Stop()
	defer end.Stop()
	for alive := true; alive; {
		select {
		case version := <-news:
			alive = send("event: version\ndata: " + version)
		case <-beat.C:
			alive = send(":")
		case <-end.C:
			return
		case <-web.live.closed:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// versionSeed makes versions of this run of the daemon only.
var versionSeed = maphash.MakeSeed()

// version is a text that changes with what the pages show. It does not change
// with each cycle.
func (web *Web) version() string {
	s := web.status.Status()
	var h maphash.Hash
	h.SetSeed(versionSeed)
	// Of these there are few.
	few, _ := json.Marshal([]any{s.Shutdown, s.Config, s.Problems, s.Host, s.Peers, s.Budgets, s.Pools, s.QueueSize}) // numbers and text, which can be encoded
	_, _ = h.Write(few)
	for i := range s.Runners {
		r := &s.Runners[i]
		maphash.WriteComparable(&h, [6]string{r.Name, string(r.Phase), r.Note, r.Reason, r.Outdated, r.Container})
		maphash.WriteComparable(&h, [4]int64{r.Since.UnixNano(), r.Job, int64(r.Jobs), r.ServerID})
		maphash.WriteComparable(&h, r.Leave != nil)
	}
	for i := range s.Queue {
		j := &s.Queue[i]
		maphash.WriteComparable(&h, [3]string{j.Pool, j.Reason, j.Next})
		maphash.WriteComparable(&h, j.ID)
	}
	if web.cfg.Journal != nil {
		maphash.WriteComparable(&h, web.cfg.Journal.Last())
	}
	if web.cfg.Trends != nil {
		maphash.WriteComparable(&h, web.cfg.Trends.Version())
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
