package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// depot is an engine with images and networks, and a registry that has what it
// is not told to lack. It counts what is asked of it.
type depot struct {
	mu       sync.Mutex
	images   map[string]bool
	networks map[string]bool
	lacks    map[string]bool // of the registry
	asked    map[string]int  // "pull x", "inspect x", "network x"
	pulled   map[string]bool // the next look at it belongs to the pull, and is not counted
	id       string          // of all images
	pulling  chan struct{}   // if not nil, each pull is announced on it
	release  chan struct{}   // and waits for this
}

func newDepot() *depot {
	return &depot{images: map[string]bool{}, networks: map[string]bool{}, lacks: map[string]bool{}, asked: map[string]int{}, pulled: map[string]bool{}}
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	image, isImage := strings.CutPrefix(strings.TrimSuffix(path, "/json"), "/images/")
	network, isNetwork := strings.CutPrefix(path, "/networks/")
	d.mu.Lock()
	defer d.mu.Unlock()
	found := true
	switch {
	case path == "/version":
	case path == "/images/create":
		image = r.URL.Query().Get("fromImage")
		d.asked["pull "+image]++
		if d.pulling != nil {
			d.mu.Unlock()
			d.pulling <- struct{}{}
			<-d.release
			d.mu.Lock()
		}
		found = !d.lacks[image]
		d.images[image], d.pulled[image] = d.images[image] || found, found
	case isImage:
		if !d.pulled[image] {
			d.asked["inspect "+image]++
		}
		d.pulled[image] = false
		found = d.images[image]
	case isNetwork:
		d.asked["network "+network]++
		found = d.networks[network]
	default:
		found = false
	}
	w.Header().Set("Content-Type", "application/json")
	if !found {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"message":"manifest unknown: %s"}`, path)
		return
	}
	fmt.Fprintf(w, `{"Id":%q}`, d.id)
}

// took returns what was asked since the last time.
func (d *depot) took() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.asked
	d.asked = map[string]int{}
	return was
}

func (d *depot) set(of map[string]bool, name string, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of[name] = is
}

func (d *depot) engine(t *testing.T, refresh time.Duration, pools map[string]Options) *Engine {
	t.Helper()
	socket := socketPath(t)
	routes := map[string]http.HandlerFunc{"GET /version": d.ServeHTTP, "POST /images/create": d.ServeHTTP}
	for _, o := range pools {
		routes["GET /images/"+o.Image+"/json"] = d.ServeHTTP
		routes["GET /networks/"+o.Network] = d.ServeHTTP
	}
	fakeEngine(t, socket, routes)
	return fakeClient(t, Config{Host: "unix://" + socket, Pools: pools, Refresh: refresh})
}

// age makes all pulls older.
func (e *Engine) age(by time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, at := range e.pulled {
		e.pulled[key] = at.Add(-by)
	}
}

func TestPrepare(t *testing.T) {
	const here, away = "example.com/here", "example.com/away"
	for _, tc := range []struct {
		name  string
		pools map[string]Options
		only  bool // the networks
		asked map[string]int
		want  []string // the errors, in order
	}{
		{name: "no pools", asked: map[string]int{}},
		{
			name:  "missing pulls what is missing",
			pools: map[string]Options{"a": {Image: here}, "b": {Image: away, Pull: PullMissing}},
			asked: map[string]int{"inspect " + here: 1, "inspect " + away: 1, "pull " + away: 1},
		},
		{
			name:  "never pulls nothing",
			pools: map[string]Options{"a": {Image: here, Pull: PullNever}, "b": {Image: away, Pull: PullNever}},
			asked: map[string]int{"inspect " + here: 1, "inspect " + away: 1},
			want:  []string{"pool b: image unavailable: the engine has no image " + away + " and the pull policy is never: run docker pull"},
		},
		{
			name:  "always pulls what is there",
			pools: map[string]Options{"a": {Image: here, Pull: PullAlways}},
			asked: map[string]int{"pull " + here: 1},
		},
		{
			name:  "what the registry lacks",
			pools: map[string]Options{"b": {Image: "example.com/lost"}, "a": {Image: here}, "c": {Image: "example.com/lost", Pull: PullAlways}},
			asked: map[string]int{"inspect " + here: 1, "inspect example.com/lost": 1, "pull example.com/lost": 2},
			want:  []string{"pool b: image unavailable: pull example.com/lost: ", "pool c: image unavailable: pull example.com/lost: "},
		},
		{
			name: "networks",
			pools: map[string]Options{
				"a": {Image: here, Network: "made"}, "b": {Image: here, Network: "gone"},
				"c": {Image: here, Network: "host"}, "d": {Image: here, Network: "bridge"}, "e": {Image: here, Network: "none"},
				"f": {Image: here, Network: "container:x"}, "g": {Image: here, Network: "default"}, "h": {Image: here},
			},
			only:  true,
			asked: map[string]int{"network made": 1, "network gone": 1},
			want:  []string{"pool b: network gone: not found: run docker network create gone, or correct container.network"},
		},
		{
			name:  "image and network",
			pools: map[string]Options{"a": {Image: away, Pull: PullNever, Network: "gone"}},
			asked: map[string]int{"inspect " + away: 1, "network gone": 1},
			want:  []string{"pool a: image unavailable", "pool a: network gone"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDepot()
			d.images[here], d.networks["made"], d.lacks["example.com/lost"] = true, true, true
			e := d.engine(t, 0, tc.pools)
			prepare := e.Prepare
			if tc.only {
				prepare = e.CheckNetworks
			}
			err := prepare(t.Context())
			if asked := d.took(); !maps.Equal(asked, tc.asked) {
				t.Errorf("asked %v, want %v", asked, tc.asked)
			}
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(lines, tc.want, strings.HasPrefix) {
				t.Errorf("Prepare() = %v, want %q", err, tc.want)
			}
			if _, typed := errors.AsType[*Unprepared](err); typed != (len(tc.want) > 0) {
				t.Errorf("%v is no Unprepared", err)
			}
		})
	}
}

func TestStartsUseThePreparedImage(t *testing.T) {
	const x = "example.com/x"
	secret := func() (string, plan.Secret, string, error) { return "u", "s", "", nil }
	once := map[string]int{"pull " + x: 1}
	type step struct {
		do    string // prepare, or the pool that starts
		after time.Duration
		asked map[string]int
	}
	for _, tc := range []struct {
		name    string
		refresh time.Duration
		pull    PullPolicy
		steps   []step
	}{
		{"within the refresh", time.Hour, PullAlways, []step{{"prepare", 0, once}, {"p", 0, nil}, {"p", 59 * time.Minute, nil}, {"p", 2 * time.Minute, once}, {"p", 0, nil}}},
		{"each start without one", 0, PullAlways, []step{{"prepare", 0, once}, {"p", 0, once}, {"p", 0, once}, {"prepare", 0, nil}}},
		{"prepared again", time.Hour, PullAlways, []step{{"prepare", 0, once}, {"prepare", 11 * time.Minute, nil}, {"prepare", 2 * time.Minute, once}}},
		{"other credentials", time.Hour, PullAlways, []step{{"p", 0, once}, {"q", 0, once}, {"q", 0, nil}}},
		{"gone since", time.Hour, PullAlways, []step{{"prepare", 0, once}, {"forget", 0, nil}, {"p", 0, once}}},
		{"gone since, prepared", time.Hour, PullAlways, []step{{"prepare", 0, once}, {"forget", 0, nil}, {"prepare", 0, once}}},
		{"missing is seen once", time.Hour, PullMissing, []step{
			{"prepare", 0, map[string]int{"inspect " + x: 1, "pull " + x: 1}}, {"p", 2 * time.Hour, nil},
			{"prepare", 0, map[string]int{"inspect " + x: 1}}, {"remove", 0, nil}, {"p", 0, nil},
			{"prepare", 0, map[string]int{"inspect " + x: 1, "pull " + x: 1}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDepot()
			pools := map[string]Options{"p": {Image: x, Pull: tc.pull}}
			if tc.name == "other credentials" {
				pools["q"] = Options{Image: x, Pull: tc.pull, Auth: secret}
			}
			e := d.engine(t, tc.refresh, pools)
			for i, s := range tc.steps {
				e.age(s.after)
				var err error
				switch s.do {
				case "prepare":
					err = e.Prepare(t.Context())
				case "forget":
					e.markImage(x, false)
				case "remove":
					d.set(d.images, x, false)
				default:
					err = e.EnsureImage(t.Context(), s.do)
				}
				if asked := d.took(); err != nil || !maps.Equal(asked, s.asked) {
					t.Errorf("step %d, %s: asked %v, %v; want %v", i+1, s.do, asked, err, s.asked)
				}
			}
		})
	}
}

// Image tells whether containers are made from another image than before.
func TestImageTellsWhatWasPulled(t *testing.T) {
	d := newDepot()
	e := d.engine(t, time.Hour, map[string]Options{"p": {Image: "example.com/x", Pull: PullAlways}, "q": {Image: "example.com/y"}})
	ask := func(id string) {
		t.Helper()
		d.mu.Lock()
		d.id = id
		d.mu.Unlock()
		e.age(time.Hour)
		if err := e.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e.Image("p") != id || e.Image("q") != id {
			t.Errorf("images %q and %q, want %q", e.Image("p"), e.Image("q"), id)
		}
	}
	if e.Image("p") != "" || e.Image("none") != "" {
		t.Error("an image is known before it was looked at")
	}
	ask("sha256:1")
	ask("sha256:2")
	d.set(d.lacks, "example.com/x", true)
	e.age(time.Hour)
	if err := e.Prepare(t.Context()); err == nil || e.Image("p") != "sha256:2" {
		t.Errorf("after a pull that failed (%v) it is %q", err, e.Image("p"))
	}
}

// TestStartTriesWhatWasNotPrepared: a pull that has failed ahead does not count.
func TestStartTriesWhatWasNotPrepared(t *testing.T) {
	const x = "example.com/x"
	d := newDepot()
	d.lacks[x] = true
	e := d.engine(t, time.Hour, map[string]Options{"p": {Image: x, Pull: PullAlways}})
	if err := e.Prepare(t.Context()); !errors.Is(err, plan.ErrImage) {
		t.Fatalf("Prepare() = %v, want ErrImage", err)
	}
	d.set(d.lacks, x, false)
	if err := e.EnsureImage(t.Context(), "p"); err != nil {
		t.Errorf("EnsureImage() = %v", err)
	}
	if n := d.took()["pull "+x]; n != 2 {
		t.Errorf("%d pulls, want 2", n)
	}
}

func TestStartsShareThePullUnderWay(t *testing.T) {
	const x = "example.com/x"
	d := newDepot()
	d.pulling, d.release = make(chan struct{}), make(chan struct{})
	e := d.engine(t, time.Hour, map[string]Options{"p": {Image: x, Pull: PullAlways}})
	ctx, cancel := context.WithCancel(t.Context())
	prepared := make(chan error, 1)
	go func() { prepared <- e.Prepare(ctx) }()
	<-d.pulling
	cancel()
	if err := <-prepared; !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare() = %v, want context.Canceled", err)
	} else if _, typed := errors.AsType[*Unprepared](err); typed {
		t.Errorf("Prepare() = %v: it was cancelled, and blames a pool", err)
	}
	close(d.release)
	if err := e.EnsureImage(t.Context(), "p"); err != nil {
		t.Error(err)
	}
	if n := d.took()["pull "+x]; n != 1 {
		t.Errorf("%d pulls, want 1", n)
	}
}

func TestPrepareWithoutEngine(t *testing.T) {
	e := fakeClient(t, Config{Host: "unix://" + socketPath(t), Pools: map[string]Options{"p": {Image: "x"}, "q": {Image: "y"}}})
	for name, prepare := range map[string]func(context.Context) error{"Prepare": e.Prepare, "CheckNetworks": e.CheckNetworks} {
		err := prepare(t.Context())
		if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s() = %v, want one ErrUnreachable", name, err)
		}
	}
}

func testPrepare(t *testing.T, r *rig) {
	none := r.instance + "-prepare"
	e := r.engine(t, map[string]Options{
		"bridge": {Image: r.image("bare"), Pull: PullNever, Network: "bridge"},
		"made":   {Image: r.image("bare"), Network: none},
		"none":   {Image: r.instance + "/absent", Pull: PullNever},
	})
	want := []string{"pool made: network " + none + ": not found", "pool none: image unavailable"}
	if err := e.Prepare(t.Context()); err == nil || !slices.EqualFunc(strings.Split(err.Error(), "\n"), want, strings.HasPrefix) {
		t.Errorf("Prepare() = %v, want %q", err, want)
	}
	(&yard{rig: r, e: e}).network(t, none)
	if err := e.CheckNetworks(t.Context()); err != nil {
		t.Errorf("CheckNetworks() after docker network create: %v", err)
	}
}
