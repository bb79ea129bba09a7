package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// told is a service manager that keeps what it is told.
type told struct {
	mu   sync.Mutex
	list []string
	err  error
}

// all returns what it was told since the last call.
func (m *told) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}

func (m *told) send(state string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		state, _, _ = strings.Cut(state, "\nMONOTONIC_USEC=")
		m.list = append(m.list, state)
	}
	return m.err
}

// newTold returns a systemd with a watchdog of 20 s whose messages are kept, for a
// daemon whose health may be changed. Call it in a bubble.
func newTold(t *testing.T) (s *systemd, m *told, health *atomic.Pointer[plan.Health], log *bytes.Buffer) {
	t.Helper()
	health, log, m = &atomic.Pointer[plan.Health]{}, &bytes.Buffer{}, &told{}
	health.Store(&plan.Health{Alive: true, Ready: true, Summary: "0 jobs wait"})
	s = newSystemd(func() plan.Health { return *health.Load() }, slog.New(slog.NewTextHandler(log, nil)))
	s.send, s.watchdog = m.send, 20*time.Second
	return s, m, health, log
}

func TestServiceManagerIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, health, _ := newTold(t)
		s.watchdog = 0
		stop := s.start()
		s.reloading()() // before it is ready that is no news
		late := s.reloading()
		s.isReady()
		synctest.Wait()
		if list := m.all(); len(list) != 0 {
			t.Errorf("ready during a reload: %q", list)
		}
		late()
		time.Sleep(1500 * time.Millisecond)
		outer := s.reloading()
		s.reloading()()
		outer()
		health.Store(&plan.Health{Alive: true, Summary: "3 jobs wait", Checks: []plan.Check{{Name: "docker", Reason: "Docker\ncannot be asked"}}})
		time.Sleep(10 * time.Second) // what goes on is told once
		again := s.reloading()
		s.stops()
		again()
		stop()
		want := []string{"READY=1", "STATUS=0 jobs wait", "RELOADING=1", "READY=1", "STATUS=3 jobs wait; Docker cannot be asked", "RELOADING=1", "STOPPING=1"}
		if list := m.all(); !slices.Equal(list, want) {
			t.Errorf("told %q, want %q", list, want)
		}
	})
}

// The watchdog hears of a loop that turns, also while Gitea or Docker cannot be
// asked or the daemon drains, and of no other.
func TestWatchdogFallsSilentWhenTheLoopHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, health, log := newTold(t)
		defer s.start()()
		pings := func(d time.Duration) (n int) {
			m.all()
			time.Sleep(d)
			synctest.Wait()
			for _, message := range m.all() {
				if message == "WATCHDOG=1" {
					n++
				}
			}
			return n
		}
		if n := pings(time.Minute); n != 6 {
			t.Errorf("%d pings in a minute, want one each 10 s", n)
		}
		health.Store(&plan.Health{Alive: true, Ready: false})
		if n := pings(time.Minute); n != 6 {
			t.Errorf("%d pings in a minute that is not ready", n)
		}
		health.Store(&plan.Health{Checks: []plan.Check{{Name: "loop", Reason: "the loop hangs"}}})
		if n := pings(10 * time.Minute); n != 0 || strings.Count(log.String(), "watchdog is told nothing") != 1 {
			t.Errorf("%d pings of a loop that hangs; log:\n%s", n, log)
		}
		health.Store(&plan.Health{Alive: true, Ready: true})
		if n := pings(time.Minute); n != 6 {
			t.Errorf("%d pings in a minute after that", n)
		}
	})
}

func TestNobodyWaitsForTheServiceManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _, log := newTold(t)
		hang := make(chan struct{})
		s.send = func(string) error { <-hang; return nil }
		stop := s.start()
		for range 2 * notifyBacklog {
			s.isReady()
		}
		began := time.Now()
		s.stops()
		stop()
		if took := time.Since(began); took > notifyFlush {
			t.Errorf("the end took %s", took)
		}
		if !strings.Contains(log.String(), "it takes no messages") {
			t.Errorf("log:\n%s", log)
		}
		close(hang)
	})
	synctest.Test(t, func(t *testing.T) {
		s, m, _, log := newTold(t)
		m.err = errors.New("no such socket")
		defer s.start()()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "no such socket"); n != 1 {
			t.Errorf("logged %d times that it cannot be told:\n%s", n, log)
		}
	})
}

func TestWithoutAServiceManagerNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	s := newSystemd(func() plan.Health { t.Error("asked for the health"); return plan.Health{} }, slog.New(slog.DiscardHandler))
	stop := s.start()
	s.isReady()
	s.reloading()()
	s.stops()
	stop()
}

func TestServiceManagerWithABadWatchdog(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(shortDir(t), "none"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log bytes.Buffer
	s := newSystemd(func() plan.Health { return plan.Health{} }, slog.New(slog.NewTextHandler(&log, nil)))
	if s.watchdog != 0 || !strings.Contains(log.String(), "WATCHDOG_USEC") {
		t.Errorf("watchdog %s, log %s", s.watchdog, &log)
	}
	if err := s.send("READY=1"); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("error %v", err)
	}
}

// hearing listens as a service manager does, until the test ends.
func hearing(t *testing.T) (socket string, heard <-chan string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	messages := make(chan string, 1000)
	go func() {
		defer close(messages)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			messages <- string(buf[:n])
		}
	}()
	return socket, messages
}

// The real binary, without Docker and Gitea, under what looks like systemd.
func TestDaemonUnderAServiceManager(t *testing.T) {
	binary, err := buildStatic()
	must(t, err)
	config, dir := writeConfig(t)
	text, err := os.ReadFile(config)
	must(t, err)
	write(t, config, strings.Replace(string(text), dir+"/none.sock", filepath.Join(shortDir(t), "s.sock"), 1)+"docker: {host: unix://"+dir+"/no-docker.sock}\n")
	socket, heard := hearing(t)
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=1000000")
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // or it has ended
		if data, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of the daemon:\n%s", data)
		}
	})
	var all []string
	// after waits for a message that begins like that, after the one numbered from.
	after := func(from int, beginning string) int {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for i := from; ; i++ {
			for i == len(all) {
				select {
				case message := <-heard:
					all = append(all, message)
				case <-deadline:
					t.Fatalf("no %s was heard, but %q", beginning, all)
				}
			}
			if strings.HasPrefix(all[i], beginning) {
				return i + 1
			}
		}
	}
	ready := after(0, "READY=1")
	after(ready, "WATCHDOG=1")
	after(ready, "STATUS=0 jobs wait, 0 of 0 runners busy; Docker cannot be asked, since ")
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	reload := after(ready, "RELOADING=1\nMONOTONIC_USEC=")
	ready = after(reload, "READY=1")
	after(ready, "WATCHDOG=1")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	after(ready, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
