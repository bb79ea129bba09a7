package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"scaler.io/scaler/internal/plan"
)

const (
	// statusEvery is how often the service manager may be told what goes on.
	statusEvery = time.Second
	// notifyTimeout bounds one message to the service manager.
	notifyTimeout = 200 * time.Millisecond
	// notifyFlush bounds the wait for the last messages at the end.
	notifyFlush = 2 * time.Second
	// notifyBacklog is how many messages may wait. There are few.
	notifyBacklog = 32
)

// systemd tells the service manager how the daemon is doing, as sd_notify(3)
// says. Nothing in the daemon waits for it, and its watchdog hears only of a loop
// that turns. Without a service manager it does nothing.
type systemd struct {
	send     func(state string) error // nil without a service manager
	watchdog time.Duration            // within which it wants to hear; 0 for never
	health   func() plan.Health
	log      *slog.Logger
	messages chan string

	mu       sync.Mutex
	ready    bool // it was told so
	stopping bool // likewise
	reloads  int  // under way

	// Used by run alone.
	status string // what it was told last
	silent bool   // the watchdog is told nothing
	failed bool   // the last message could not be sent
}

// newSystemd returns a systemd for the environment that the service manager has
// given this process.
func newSystemd(health func() plan.Health, log *slog.Logger) *systemd {
	s := &systemd{health: health, log: log, messages: make(chan string, notifyBacklog)}
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return s
	}
	s.send = func(state string) error { return notify(socket, state) }
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog of the service manager not served", "err", err)
	}
	s.watchdog = watchdog
	return s
}

// notify sends one message to the service manager.
func notify(socket, state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("connect to NOTIFY_SOCKET %s: %w", socket, err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("send to NOTIFY_SOCKET %s: %w", socket, err)
	}
	return nil
}

// isReady says that the first cycle is done.
func (s *systemd) isReady() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready = true; s.reloads == 0 && !s.stopping {
		s.tell(daemon.SdNotifyReady)
	}
}

// stops says that the daemon ends. It is not said to be ready any more.
func (s *systemd) stops() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.stopping = true
		s.tell(daemon.SdNotifyStopping)
	}
}

// reloading says that the configuration is being taken over, until done is called.
// Before the daemon is ready, and while it ends, that is no news.
func (s *systemd) reloading() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reloads++; s.reloads == 1 && s.ready && !s.stopping {
		s.tell(daemon.SdNotifyReloading + monotonic())
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.reloads--; s.reloads == 0 && s.ready && !s.stopping {
			s.tell(daemon.SdNotifyReady)
		}
	}
}

// tell has a message sent. One that there is no room for is lost: the service
// manager then takes none at all.
func (s *systemd) tell(message string) {
	if s.send == nil {
		return
	}
	select {
	case s.messages <- message:
	default:
		s.log.Warn("service manager not told: it takes no messages", "message", message)
	}
}

// start begins to send. The stop that it returns sends what is left.
func (s *systemd) start() (stop func()) {
	if s.send == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.run(end)
	}()
	return func() {
		close(end)
		select {
		case <-ended:
		case <-time.After(notifyFlush):
		}
	}
}

// run sends messages in their order, what goes on when that changes, and to the
// watchdog twice in the time that it waits.
func (s *systemd) run(end <-chan struct{}) {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var ping <-chan time.Time
	if s.watchdog > 0 {
		t := time.NewTicker(s.watchdog / 2)
		defer t.Stop()
		ping = t.C
	}
	for {
		select {
		case message := <-s.messages:
			s.post(message)
		case <-tick.C:
			s.showStatus()
		case <-ping:
			s.pet()
		case <-end:
			for {
				select {
				case message := <-s.messages:
					s.post(message)
					continue
				default:
				}
				return
			}
		}
	}
}

// showStatus sends what goes on if it is not what was sent last.
func (s *systemd) showStatus() {
	if line := clean(s.health().Line()); line != s.status && s.post("STATUS="+line) {
		s.status = line
	}
}

// pet tells the watchdog that the loop turns. If it does not the watchdog hears
// nothing, and has the service manager start the daemon anew, which disturbs no
// runner.
func (s *systemd) pet() {
	h := s.health()
	if !h.Alive {
		if !s.silent {
			s.log.Error("the loop hangs, so the watchdog is told nothing", "reason", h.Reasons())
		}
		s.silent = true
		return
	}
	s.silent = false
	s.post(daemon.SdNotifyWatchdog)
}

// post sends a message, and logs the first of several failures.
func (s *systemd) post(message string) (sent bool) {
	err := s.send(message)
	if err != nil && !s.failed {
		s.log.Warn("service manager not told", "message", message, "err", err)
	}
	s.failed = err != nil
	return err == nil
}
