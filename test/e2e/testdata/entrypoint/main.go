// Command entrypoint does what the entrypoint of the official runner image
// does, in an image without a shell: it registers the runner by what the
// environment says, unless it is registered, and becomes the runner.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const runner = "/bin/act_runner"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "entrypoint:", err)
		os.Exit(1)
	}
}

func run() error {
	config := []string{"--config", os.Getenv("CONFIG_FILE")}
	for try := 1; ; try++ {
		info, err := os.Stat(".runner")
		if err == nil && info.Size() > 0 {
			break
		}
		if try > 10 {
			return fmt.Errorf("not registered after %d tries", try-1)
		}
		if try > 1 {
			time.Sleep(5 * time.Second)
		}
		args := append([]string{"register", "--no-interactive", "--instance", os.Getenv("GITEA_INSTANCE_URL"),
			"--token", os.Getenv("GITEA_RUNNER_REGISTRATION_TOKEN"), "--name", os.Getenv("GITEA_RUNNER_NAME"),
			"--labels", os.Getenv("GITEA_RUNNER_LABELS")}, config...)
		if os.Getenv("GITEA_RUNNER_EPHEMERAL") != "" {
			args = append(args, "--ephemeral")
		}
		cmd := exec.Command(runner, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		_ = cmd.Run() // whether it worked is seen by the file
	}
	if err := os.Unsetenv("GITEA_RUNNER_REGISTRATION_TOKEN"); err != nil {
		return err
	}
	args := append([]string{runner, "daemon"}, config...)
	if os.Getenv("GITEA_RUNNER_ONCE") != "" {
		args = append(args, "--once")
	}
	return syscall.Exec(runner, args, os.Environ())
}
