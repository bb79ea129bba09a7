package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// proc is a directory in which a kernel's files are faked.
type proc struct {
	t   *testing.T
	dir string
}

func newProc(t *testing.T) proc {
	p := proc{t, t.TempDir()}
	if err := os.Mkdir(filepath.Join(p.dir, "pressure"), 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p proc) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p proc) pressure(resource, avg10 string) {
	p.t.Helper()
	p.write("pressure/"+resource, "some avg10="+avg10+" avg60=99.00 avg300=99.00 total=4582892\nfull avg10=99.00 avg60=99.00 avg300=99.00 total=3192841\n")
}

func (p proc) available(kB string) {
	p.t.Helper()
	p.write("meminfo", "MemTotal:       16000000 kB\nMemFree:           1000 kB\nMemAvailable:   "+kB+" kB\nHugePages_Total:       0\n")
}

func noDisk(string) (free, total float64, err error) {
	return 0, 0, errors.New("no disk was to be looked at")
}

// start starts a Monitor. Call it in a synctest bubble.
func start(t *testing.T, cfg Config, s system) (m *Monitor, stop func()) {
	t.Helper()
	m = newMonitor(cfg, s)
	ctx, cancel := context.WithCancel(t.Context())
	m.Start(ctx)
	return m, cancel
}

func TestNoLimitNeedsNoMonitor(t *testing.T) {
	if m := New(Config{Limits: Limits{DiskPaths: []string{"/"}}}); m != nil {
		t.Errorf("there is %+v", m)
	}
}

func TestEachValueIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProc(t)
		p.pressure("cpu", "64.16")
		p.pressure("memory", "1.33")
		p.pressure("io", "0.00")
		p.available("2000")
		disks := map[string][2]float64{"/a": {30, 100}, "/b": {900, 1000}}
		m, stop := start(t, Config{Limits: Limits{CPU: 80, Memory: 20, IO: 60, FreeMemory: 1 << 20, FreeDiskPercent: 25, DiskPaths: []string{"/a", "/b"}}},
			system{p.dir, func(path string) (free, total float64, err error) { return disks[path][0], disks[path][1], nil }})
		defer stop()
		want := plan.HostStatus{Gates: []plan.HostGate{
			{Kind: plan.HostCPU, Known: true, Value: 64.16, Limit: 80},
			{Kind: plan.HostMemory, Known: true, Value: 1.33, Limit: 20},
			{Kind: plan.HostIO, Known: true, Value: 0, Limit: 60},
			{Kind: plan.HostFreeMemory, Known: true, Value: 2000 << 10, Limit: 1 << 20},
			{Kind: plan.HostFreeDisk, Path: "/a", Known: true, Value: 30, Limit: 25},
			{Kind: plan.HostFreeDisk, Path: "/b", Known: true, Value: 900, Limit: 250},
		}}
		if got := m.Look(time.Now()); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

func TestGatesShutAndOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProc(t)
		p.pressure("memory", "10.00")
		p.available("900000")
		var opened atomic.Int32
		m, stop := start(t, Config{Limits: Limits{Memory: 20, FreeMemory: 512 << 20}, Opened: func() { opened.Add(1) }}, system{p.dir, noDisk})
		defer stop()
		hold := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			got := m.Look(time.Now()).Hold
			if (got == "") != (len(want) == 0) {
				t.Fatalf("hold %q, want %q", got, want)
			}
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Fatalf("hold %q, want %q", got, w)
				}
			}
		}
		hold(0)
		p.pressure("memory", "35.00")
		hold(time.Second, "35 % of the last 10 s some task waited for memory, the limit is 20 %")
		p.available("100000")
		hold(time.Second, "under memory pressure: 35 %", "; the host is short of memory: 97.66MiB are available, the limit is 512MiB")
		p.pressure("memory", "19.00")
		p.available("900000")
		hold(30*time.Second, "it ends at 18 %")
		if got := m.Look(time.Now()).Gates; !got[0].Holds || got[1].Holds {
			t.Errorf("gates %+v, want the first to hold", got)
		}
		p.pressure("memory", "2.00")
		hold(time.Second)
		if n := opened.Load(); n != 2 {
			t.Errorf("told %d times of a gate that opened, want twice", n)
		}
		// A short one lasts as long as the shortest that there is.
		p.pressure("memory", "35.00")
		hold(time.Second, "35 %")
		p.pressure("memory", "0.00")
		hold(4*time.Second, "5s at the earliest")
		hold(time.Second)
	})
}

// A file system that does not answer holds once its last value is too old, and
// neither Look nor the other gates wait for it.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProc(t)
		p.pressure("cpu", "1.00")
		var dead atomic.Bool
		back := make(chan struct{})
		m, stop := start(t, Config{Limits: Limits{CPU: 50, FreeDisk: 100, DiskPaths: []string{"/nfs"}}}, system{p.dir, func(string) (free, total float64, err error) {
			if dead.Load() {
				<-back
			}
			return 500, 1000, nil
		}})
		defer stop()
		synctest.Wait()
		dead.Store(true)
		time.Sleep(staleAfter - time.Millisecond)
		if s := m.Look(time.Now()); s.Hold != "" || len(m.Unmeasurable(time.Now())) > 0 {
			t.Errorf("it holds while the last value is young: %s", s.Hold)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.pressure("cpu", "7.00")
		time.Sleep(time.Second)
		synctest.Wait()
		s := m.Look(time.Now())
		if !strings.HasPrefix(s.Hold, "free space of /nfs cannot be measured: no answer for 16s: ") {
			t.Errorf("hold %q", s.Hold)
		}
		if g := s.Gates; g[0].Value != 7 || g[0].Holds || g[1].Known || !g[1].Holds {
			t.Errorf("gates %+v", g)
		}
		dead.Store(false)
		close(back)
		synctest.Wait()
		if s := m.Look(time.Now()); s.Hold != "" {
			t.Errorf("it holds after an answer: %s", s.Hold)
		}
	})
}

func TestStartDoesNotWaitForADeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		began := time.Now()
		m, stop := start(t, Config{Limits: Limits{FreeDisk: 100, DiskPaths: []string{"/nfs"}}}, system{"", func(string) (free, total float64, err error) {
			<-back
			return 500, 1000, nil
		}})
		if took := time.Since(began); took != firstWait {
			t.Errorf("it took %s", took)
		}
		if got := m.Unmeasurable(time.Now()); len(got) != 1 || !strings.Contains(got[0], "no answer yet") || m.Look(time.Now()).Hold != got[0] {
			t.Errorf("unmeasurable: %q, hold %q", got, m.Look(time.Now()).Hold)
		}
		stop()
		close(back)
	})
}

func TestWhatCannotBeReadHolds(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		files  map[string]string
		want   string
	}{
		{"no PSI", Limits{CPU: 1}, nil, "CPU pressure cannot be measured: read pressure: open DIR/pressure/cpu: no such file or directory: boot the kernel with psi=1"},
		{"PSI without some", Limits{CPU: 1}, map[string]string{"pressure/cpu": "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"}, "has no line for some"},
		{"PSI that is not understood", Limits{IO: 1}, map[string]string{"pressure/io": "some avg10=much\n"}, "I/O pressure cannot be measured: read pressure: "},
		{"no meminfo", Limits{FreeMemory: 1}, nil, "free memory cannot be measured: read memory: open DIR/meminfo: no such file or directory: let scaler read /proc/meminfo"},
		{"meminfo of an old kernel", Limits{FreeMemory: 1}, map[string]string{"meminfo": "MemTotal: 1 kB\n"}, "has no MemAvailable"},
		{"no disk", Limits{FreeDisk: 1, DiskPaths: []string{"/none"}}, nil, "no disk was to be looked at: look at that file system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProc(t)
				for name, text := range tt.files {
					p.write(name, text)
				}
				m, stop := start(t, Config{Limits: tt.limits}, system{p.dir, noDisk})
				defer stop()
				s := m.Look(time.Now())
				if !strings.Contains(strings.ReplaceAll(s.Hold, p.dir, "DIR"), tt.want) || !s.Gates[0].Holds || s.Gates[0].Known {
					t.Errorf("hold %q, gates %+v; want %q", s.Hold, s.Gates, tt.want)
				}
				if got := m.Unmeasurable(time.Now()); len(got) != 1 || got[0] != s.Hold {
					t.Errorf("unmeasurable: %q", got)
				}
			})
		})
	}
}

func TestNoProcAtAll(t *testing.T) {
	for _, l := range []Limits{{CPU: 1}, {FreeMemory: 1}} {
		m, stop := start(t, Config{Limits: l}, system{filepath.Join(t.TempDir(), "none"), noDisk})
		if got := m.Look(time.Now()).Hold; !strings.Contains(got, "cannot be measured: open procfs: ") {
			t.Errorf("hold %q", got)
		}
		stop()
	}
}

// The real system, as far as it can be counted on.
func TestRealDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	dir := t.TempDir()
	free, total, err := statfs(dir)
	if err != nil || free <= 0 || free > total {
		t.Errorf("%v of %v bytes are free, %v", free, total, err)
	}
	if _, _, err := statfs(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
	m, stop := start(t, Config{Limits: Limits{FreeMemory: 1, FreeDisk: 1, DiskPaths: []string{dir}}}, system{"/proc", statfs})
	defer stop()
	if s := m.Look(time.Now()); s.Hold != "" || s.Gates[0].Value < 1<<20 {
		t.Errorf("%+v", s)
	}
}
