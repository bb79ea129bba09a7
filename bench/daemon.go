package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	readyWithin = 30 * time.Second
	stopWithin  = 40 * time.Second
	// clockTicks is the unit of the CPU times in /proc, a constant of Linux on
	// all architectures that Go knows.
	clockTicks = 100
)

// daemon is the program under test, as a child process.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
}

// startDaemon runs the daemon and returns once its first cycle is done, which
// it says as it says it to systemd.
func startDaemon(ctx context.Context, binary, dir string) (*daemon, error) {
	log, err := os.Create(filepath.Join(dir, "daemon.log"))
	if err != nil {
		return nil, fmt.Errorf("make the daemon's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	notify := filepath.Join(dir, "n.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for the daemon's notification: %w", err)
	}
	defer func() { _ = conn.Close() }()
	d := &daemon{cmd: exec.Command(binary, "run", "--config", filepath.Join(dir, configName)), exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the bench
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	go func() {
		_ = d.cmd.Wait() // how it ended, the process state tells
		close(d.exited)
	}()
	ready := make(chan struct{})
	go listen(conn, ready)
	select {
	case <-ready:
		return d, nil
	case <-d.exited:
		return nil, fmt.Errorf("the daemon has ended: %s", tail(log.Name()))
	case <-time.After(readyWithin):
		d.kill()
		return nil, fmt.Errorf("the daemon is not ready after %s: %s", readyWithin, tail(log.Name()))
	case <-ctx.Done():
		d.kill()
		return nil, context.Cause(ctx)
	}
}

// listen closes ready when the daemon says so.
func listen(conn *net.UnixConn, ready chan<- struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			close(ready)
			return
		}
	}
}

// freeze stops the process without its noticing, until thaw.
func (d *daemon) freeze() error { return d.cmd.Process.Signal(syscall.SIGSTOP) }
func (d *daemon) thaw() error   { return d.cmd.Process.Signal(syscall.SIGCONT) }

// kill ends the process and returns once it is gone.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.exited
}

// stop asks the process to end and returns what it has used.
func (d *daemon) stop() (*syscall.Rusage, error) {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stop the daemon: %w", err)
	}
	select {
	case <-d.exited:
	case <-time.After(stopWithin):
		d.kill()
		return nil, fmt.Errorf("the daemon did not end within %s", stopWithin)
	}
	used, known := d.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !known {
		return nil, errors.New("the daemon's use of resources is not known on this system")
	}
	return used, nil
}

// resident returns the memory of the process in MB of 2^20 bytes: now, and at
// most so far.
func (d *daemon) resident() (now, peak float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the daemon's memory: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "VmRSS:" && fields[0] != "VmHWM:" {
			continue
		}
		kb, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the daemon's memory: %w", err)
		}
		if fields[0] == "VmRSS:" {
			now = kb / 1024
		} else {
			peak = kb / 1024
		}
	}
	return now, peak, nil
}

// cpu returns the CPU time that the process has used, in steps of 10 ms.
func (d *daemon) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the daemon's CPU time: %w", err)
	}
	// The name in parentheses comes before and may hold anything; the times are
	// the 12th and 13th field after it.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("read the daemon's CPU time: unknown format")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err, systemErr); err != nil {
		return 0, fmt.Errorf("read the daemon's CPU time: %w", err)
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}

// share returns how much of one core the process uses over some time, in
// percent.
func (d *daemon) share(ctx context.Context, over time.Duration) (float64, error) {
	began := time.Now()
	before, err := d.cpu()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, over); err != nil {
		return 0, err
	}
	after, err := d.cpu()
	return 100 * float64(after-before) / float64(time.Since(began)), err
}

// tail returns the last line of a file.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

// pause waits, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
