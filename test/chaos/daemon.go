package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// daemon is the program under test: one process after the other.
type daemon struct {
	binary string
	config string
	dir    string   // for its notification sockets
	log    *os.File // of all its processes

	// steady is held while a process is started, and by whoever does not want
	// one to be.
	steady sync.Mutex

	mu      sync.Mutex
	current *process
	count   int
}

// process is one run of the daemon.
type process struct {
	cmd    *exec.Cmd
	heard  chan struct{} // closed when it has said anything
	ready  chan struct{} // closed when the first cycle is done
	exited chan struct{} // closed when it has ended
	// killed is set before the process gets a signal of ours.
	mu     sync.Mutex
	killed bool
}

// start runs the daemon. That it is ready it says as it says it to systemd.
func (d *daemon) start() (*process, error) {
	d.steady.Lock()
	defer d.steady.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	notify := filepath.Join(d.dir, fmt.Sprintf("n%d", d.count))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for the daemon's notification: %w", err)
	}
	p := &process{cmd: exec.Command(d.binary, "run", "--config", d.config), heard: make(chan struct{}), ready: make(chan struct{}), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = d.log, d.log
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the harness
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the daemon: %w", err), conn.Close())
	}
	go p.listen(conn)
	go func() {
		_ = p.cmd.Wait() // how it ended, the process state tells
		close(p.exited)
		_ = conn.Close() // which removes the socket
	}()
	d.current = p
	return p, nil
}

// listen hears what the daemon says, and notes that it is ready.
func (p *process) listen(conn *net.UnixConn) {
	buf := make([]byte, 4096)
	for said := false; ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if !closed(p.heard) {
			close(p.heard)
		}
		if !said && strings.Contains(string(buf[:n]), "READY=1") {
			close(p.ready)
			said = true
		}
	}
}

// alive returns the present process, nil if it has been told to end.
func (d *daemon) alive() *process {
	p := d.running()
	if p == nil || p.told() {
		return nil
	}
	return p
}

// running returns the present process, nil if it has ended.
func (d *daemon) running() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil || d.current.over() {
		return nil
	}
	return d.current
}

// over reports whether the process has ended.
func (p *process) over() bool { return closed(p.exited) }

// isReady reports whether its first cycle is done.
func (p *process) isReady() bool { return closed(p.ready) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// told reports whether the process got a signal of ours that ends it.
func (p *process) told() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// kill kills the process that was started last.
func (d *daemon) kill() {
	d.mu.Lock()
	p := d.current
	d.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// kill ends the process with SIGKILL and returns once it is gone.
func (p *process) kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// terminate asks the process to end and does not wait.
func (p *process) terminate() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
}

// stop asks the process to end, and ends it if it has not in time.
func (p *process) stop(patience time.Duration) error {
	p.terminate()
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("the daemon did not end within %s after SIGTERM", patience)
	}
	return p.faltered()
}

// faltered says how the process ended if that was neither by SIGKILL nor the
// way in which one ends that was told to.
func (p *process) faltered() error {
	if !p.over() || p.cmd.ProcessState.Success() {
		return nil
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		switch {
		case status.Signal() == syscall.SIGKILL:
			return nil
		case status.Signal() == syscall.SIGTERM && !closed(p.heard):
			return nil // it was not yet so far as to take the signal itself
		}
	}
	return fmt.Errorf("the daemon ended with %s after SIGTERM", p.cmd.ProcessState)
}

// crashed says how the process ended without having been told to, or nothing.
func (p *process) crashed() error {
	if p.told() {
		return nil
	}
	return fmt.Errorf("the daemon ended by itself: %s", p.cmd.ProcessState)
}
