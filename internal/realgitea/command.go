package realgitea

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is the server's command line.
type command struct {
	Binary
	dir, config, token string
}

func (c command) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, append([]string{"--config", c.config}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "GITEA_WORK_DIR=" + c.dir,
		"GITEA_RUNNER_REGISTRATION_TOKEN=" + c.token,
	}
	return cmd
}

// run runs a command to its end.
func (c command) run(t testing.TB, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	defer cancel()
	out, err := c.prepare(ctx, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", c.Profile, strings.Join(args[:min(len(args), 3)], " "), err, out)
	}
}

// log is what the server has logged.
func (c command) log() []byte {
	text, _ := os.ReadFile(filepath.Join(c.dir, "log", "gitea.log")) // it may have none yet
	return text
}

// process is a command that runs until it is stopped.
type process struct {
	command
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended

	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

// output is what it has said so far.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start starts a command.
func (c command) start(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{command: c, exited: make(chan struct{}), cmd: c.prepare(context.WithoutCancel(t.Context()), args...)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait()
	}()
	return p
}

// stop ends the process, which fails the test if it has ended by itself.
func (p *process) stop(t testing.TB) {
	if p == nil {
		return
	}
	select {
	case <-p.exited:
		t.Errorf("%s ended by itself: %s\n%s%s", p.Profile, p.cmd.ProcessState, p.output(), p.log())
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
