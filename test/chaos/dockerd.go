package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long an engine of the harness's own may take to answer, and to end.
const (
	dockerdPatience = 30 * time.Second
	dockerdPoll     = 20 * time.Millisecond
)

// What an engine is configured with. A file of its own keeps the machine's from
// being read.
const (
	// liveRestore keeps containers running while the engine is away, as an
	// engine has to for jobs to survive its restart.
	liveRestore = `{"live-restore": true}`
	// noRestore is for an engine of a Swarm, which refuses the other.
	noRestore = `{}`
)

// dockerd is a Docker Engine on a socket and a data folder of its own. Its
// containers use the host's network, so that it touches no firewall rule. It
// has a bridge of its own all the same: an engine that is told to have none
// removes docker0 at its start, which belongs to the machine's engine.
type dockerd struct {
	dir    string
	bridge string
	log    *os.File
	cmd    *exec.Cmd
	exited chan struct{}
}

// startDockerd starts an engine, which needs root and the program.
func startDockerd(ctx context.Context, dir, config string) (*dockerd, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can start one")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return nil, err
	}
	d := &dockerd{dir: filepath.Join(dir, "d"), bridge: bridgeName(dir)}
	if err := os.Mkdir(d.dir, 0o711); err != nil {
		return nil, fmt.Errorf("make directory of dockerd: %w", err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "daemon.json"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configure dockerd: %w", err)
	}
	var err error
	d.log, err = os.OpenFile(filepath.Join(dir, "dockerd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make log of dockerd: %w", err)
	}
	if err := d.addBridge(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// bridgeName is a name of its own for the world's directory, whose end is
// random. An interface's name has 15 characters at most.
func bridgeName(dir string) string {
	base := filepath.Base(dir)
	return "chaos-" + base[max(len(base)-9, 0):]
}

// addBridge makes the engine's bridge, which nothing is ever attached to.
func (d *dockerd) addBridge() error {
	for _, args := range [][]string{
		{"link", "add", "name", d.bridge, "type", "bridge"},
		{"addr", "add", "203.0.113.1/30", "dev", d.bridge}, // reserved for documentation, so nobody's
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("make bridge %s: %w: %s", d.bridge, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func (d *dockerd) socket() string { return filepath.Join(d.dir, "s") }

// start runs the engine and waits until it answers.
func (d *dockerd) start(ctx context.Context) error {
	// An engine that was killed has left these, and would take their processes
	// for alive until somebody has reaped them.
	for _, stale := range []string{"pid", "exec/containerd/containerd.pid"} {
		if err := os.Remove(filepath.Join(d.dir, stale)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what dockerd left: %w", err)
		}
	}
	in := func(name string) string { return filepath.Join(d.dir, name) }
	d.cmd = exec.Command("dockerd", "--config-file", in("daemon.json"), "--host", "unix://"+d.socket(),
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"),
		"--bridge", d.bridge, "--iptables=false", "--ip6tables=false")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for the harness
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	exited := make(chan struct{})
	d.exited = exited
	go func() {
		_ = d.cmd.Wait() // its log tells
		close(exited)
	}()
	client := newEngineClient(d.socket())
	for end := time.Now().Add(dockerdPatience); client.ping(ctx) != nil; {
		select {
		case <-d.exited:
			return fmt.Errorf("dockerd has ended: see %s", d.log.Name())
		case <-time.After(dockerdPoll):
		}
		if time.Now().After(end) {
			return fmt.Errorf("dockerd does not answer: see %s", d.log.Name())
		}
	}
	return nil
}

// restart ends the engine and starts it again. Its containers run on.
func (d *dockerd) restart(ctx context.Context, kill bool) error {
	if err := d.end(kill); err != nil {
		return err
	}
	return d.start(context.WithoutCancel(ctx))
}

// end ends the process, which may have ended by itself.
func (d *dockerd) end(kill bool) error {
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	_ = d.cmd.Process.Signal(signal)
	select {
	case <-d.exited:
		return nil
	case <-time.After(dockerdPatience):
		_ = d.cmd.Process.Kill()
		return fmt.Errorf("dockerd did not end within %s", dockerdPatience)
	}
}

// close ends the engine and removes its data folder. Its containers must have
// been removed before.
func (d *dockerd) close() error {
	var errs []error
	if d.exited != nil {
		errs = append(errs, d.end(false))
	}
	_ = exec.Command("ip", "link", "delete", d.bridge).Run() // it may not have come to be
	errs = append(errs, d.killShims(), d.log.Close(), unmountBelow(d.dir), os.RemoveAll(d.dir))
	return errors.Join(errs...)
}

// killShims ends the shims that are left, with their containers. An engine that
// is killed while it starts a container forgets its shim.
func (d *dockerd) killShims() error {
	pids, err := processes()
	if err != nil {
		return err
	}
	address := filepath.Join(d.dir, "exec/containerd/containerd.sock")
	shims := map[int]bool{}
	for pid, p := range pids {
		if slices.Contains(p.args, address) {
			shims[pid] = true
		}
	}
	for pid, p := range pids {
		if shims[pid] || shims[p.parent] {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
	return nil
}

// proc is a process of this machine.
type proc struct {
	parent int
	args   []string
}

// processes lists them by their ids. One that ends meanwhile is left out.
func processes() (map[int]proc, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := map[int]proc{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		stat, statErr := os.ReadFile(filepath.Join(dir, "stat"))
		cmdline, argsErr := os.ReadFile(filepath.Join(dir, "cmdline"))
		// The name, in parentheses, may hold anything; the state and the
		// parent follow it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if errors.Join(err, statErr, argsErr) != nil || len(fields) < 2 {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		all[pid] = proc{parent: parent, args: strings.Split(string(cmdline), "\x00")}
	}
	return all, nil
}

// unmountBelow detaches what is mounted at or below the directory.
func unmountBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	var errs []error
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	slices.Reverse(lines) // the latest first
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			if err := syscall.Unmount(fields[1], syscall.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", fields[1], err))
			}
		}
	}
	return errors.Join(errs...)
}
