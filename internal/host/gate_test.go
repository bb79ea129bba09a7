package host

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestLatch(t *testing.T) {
	most := func(v float64) reading { return reading{value: v, limit: 20} }
	least := func(v float64) reading { return reading{value: v, limit: 1000, floor: true} }
	open, shut := latch{}, latch{shut: true, since: noon}
	tests := []struct {
		name string
		from latch
		r    reading
		age  time.Duration
		want bool
	}{
		{"at the most", open, most(20), time.Hour, false},
		{"above the most", open, most(20.01), time.Hour, true},
		{"back at the most", shut, most(20), time.Hour, true},
		{"a little within the most", shut, most(18.01), time.Hour, true},
		{"well within the most", shut, most(18), time.Hour, false},
		{"well within the most, too early", shut, most(0), shutTime - 1, true},
		{"well within the most, just in time", shut, most(0), shutTime, false},
		{"at the least", open, least(1000), time.Hour, false},
		{"below the least", open, least(999), time.Hour, true},
		{"a little within the least", shut, least(1099), time.Hour, true},
		{"well within the least", shut, least(1100), time.Hour, false},
		{"well within the least, too early", shut, least(5000), shutTime - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.from.after(tt.r, noon.Add(tt.age)); got.shut != tt.want {
				t.Errorf("shut: %v, want %v", got.shut, tt.want)
			}
		})
	}
}

// However a value moves, a gate is shut while it is beyond the limit, stays so
// for shutTime, and is open while it is well within it.
func TestLatchDoesNotFlap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var l latch
		now, limit, floor := noon, 50.0, r.IntN(2) == 0
		for range 500 {
			now = now.Add(time.Duration(1+r.IntN(3)) * time.Second)
			x := reading{value: limit * (0.7 + 0.6*r.Float64()), limit: limit, floor: floor}
			was := l
			l = l.after(x, now)
			age := now.Sub(was.since)
			switch {
			case x.beyond() && !l.shut:
				t.Fatalf("seed %d: open at %+v", seed, x)
			case was.shut && !l.shut && age < shutTime:
				t.Fatalf("seed %d: opened after %s", seed, age)
			case x.well() && l.shut && age >= shutTime:
				t.Fatalf("seed %d: shut at %+v after %s", seed, x, age)
			case was.shut && l.shut && was.since != l.since:
				t.Fatalf("seed %d: the time since it is shut has changed", seed)
			case !x.beyond() && !x.well() && was.shut != l.shut:
				t.Fatalf("seed %d: changed between its two values, at %+v", seed, x)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	gone := &fs.PathError{Op: "open", Path: "/proc/pressure/io", Err: syscall.ENOENT}
	off := fmt.Errorf("read pressure: %w", &fs.PathError{Op: "read", Path: "/proc/pressure/io", Err: syscall.EOPNOTSUPP})
	tests := []struct {
		name string
		g    gate
		want string
	}{
		{"open", gate{kind: plan.HostCPU, last: reading{value: 20, limit: 80}, at: noon}, ""},
		{"CPU", gate{kind: plan.HostCPU, last: reading{value: 90.123, limit: 80}, at: noon, latch: latch{shut: true}},
			"the host is under CPU pressure: 90.12 % of the last 10 s some task waited for CPU, the limit is 80 %"},
		{"memory", gate{kind: plan.HostMemory, last: reading{value: 35, limit: 20}, at: noon, latch: latch{shut: true}},
			"the host is under memory pressure: 35 % of the last 10 s some task waited for memory, the limit is 20 %"},
		{"within the limit, and not well", gate{kind: plan.HostIO, last: reading{value: 19, limit: 20}, at: noon, latch: latch{shut: true}},
			"the host is under I/O pressure: 19 % of the last 10 s some task waited for I/O, the limit is 20 %; it ends at 18 %, after 5s at the earliest"},
		{"free memory", gate{kind: plan.HostFreeMemory, last: reading{300 << 20, 512 << 20, true}, at: noon, latch: latch{shut: true}},
			"the host is short of memory: 300MiB are available, the limit is 512MiB"},
		{"free disk", gate{kind: plan.HostFreeDisk, path: "/srv", last: reading{5.2 * (1 << 30), 5 << 30, true}, at: noon, latch: latch{shut: true}},
			"the host is short of disk space: 5.2GiB are free in /srv, the limit is 5GiB; it ends at 5.5GiB, after 5s at the earliest"},
		{"no answer yet", gate{kind: plan.HostFreeDisk, path: "/srv"},
			"free space of /srv cannot be measured: no answer yet: look at that file system, or remove the path from limits.pressure.disk_paths"},
		{"no answer any more", gate{kind: plan.HostFreeDisk, path: "/srv", at: noon.Add(-12 * time.Second)},
			"free space of /srv cannot be measured: no answer for 12s: look at that file system, or remove the path from limits.pressure.disk_paths"},
		{"an error that may pass", gate{kind: plan.HostFreeMemory, at: noon.Add(-staleAfter), err: errors.New("odd")}, ""},
		{"an error that has lasted", gate{kind: plan.HostFreeMemory, at: noon.Add(-staleAfter - 1), err: errors.New("odd")},
			"free memory cannot be measured: odd: let scaler read /proc/meminfo (under systemd: ProcSubset=all), or remove limits.pressure.free_memory"},
		{"no PSI", gate{kind: plan.HostIO, err: gone}, "I/O pressure cannot be measured: open /proc/pressure/io: no such file or directory: " +
			"boot the kernel with psi=1 if it has no /proc/pressure, let scaler see it (under systemd: ProcSubset=all), or remove limits.pressure.io"},
		{"PSI is off", gate{kind: plan.HostIO, err: off}, "I/O pressure cannot be measured: read pressure: read /proc/pressure/io: operation not supported: " +
			"boot the kernel with psi=1 if it has no /proc/pressure, let scaler see it (under systemd: ProcSubset=all), or remove limits.pressure.io"},
		{"another error", gate{kind: plan.HostCPU, err: fs.ErrPermission},
			"CPU pressure cannot be measured: permission denied: let scaler read /proc/pressure, or remove limits.pressure.cpu"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.g.why(noon); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
