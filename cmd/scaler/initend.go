package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/doctor"
)

// serviceTimeout bounds the start of the service.
const serviceTimeout = 2 * time.Minute

// finish makes the webhook, has the doctor look at all, and says or does what
// comes next.
func (s *setUp) finish(ctx context.Context) error {
	cfg, err := config.Load(s.flags.config)
	if err != nil {
		return err
	}
	if s.answers.WebhookURL != "" {
		if err := s.makeHook(ctx, cfg); err != nil {
			return err
		}
	}
	job := s.flags.job
	if job && !s.flags.yes {
		if job, err = s.confirm(ctx, question{text: "\nStart one runner as a proof, and take it away again", flag: "job", def: "yes",
			help: "It is registered under a label that no job asks for, and gone half a minute later."}); err != nil {
			return err
		}
	}
	if err := s.heading("scaler doctor"); err != nil {
		return err
	}
	e := newExam(ctx, doctorFlags{config: s.flags.config, unit: s.flags.unit, job: job})
	found := e.run(ctx, s.out, false)
	if err := ctx.Err(); err != nil {
		return err
	}
	if doctor.Count(found, doctor.ResultFailed) > 0 {
		if err := s.say("\nSomething has failed: see what to do above. What is written stays. Then run\n  %s\n", s.command("doctor")); err != nil {
			return err
		}
		return &exitError{exitFailure}
	}
	return s.next(ctx, cfg)
}

// command is a command line for the configuration of this set-up.
func (s *setUp) command(name string) string {
	text := "scaler " + name
	if s.flags.config != defaultConfig {
		text += " -c " + absolute(s.flags.config)
	}
	return text
}

// next says how to start the daemon, or starts it.
func (s *setUp) next(ctx context.Context, cfg *config.Config) error {
	if err := s.heading("Next"); err != nil {
		return err
	}
	enable := "systemctl enable --now " + s.unit.name
	if !s.unit.loaded {
		return s.say("  Start the daemon:  %s\n%s", s.command("run"), s.firstJob(cfg))
	}
	start := s.flags.enable
	if !start && !s.flags.yes {
		var err error
		if start, err = s.confirm(ctx, question{text: "Start the service now, and at each boot", flag: "enable", def: "no", help: "It runs " + enable + "."}); err != nil {
			return err
		}
	}
	if !start {
		return s.say("  Start the daemon:  sudo %s\n%s", enable, s.firstJob(cfg))
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemctl", "enable", "--now", s.unit.name)
	cmd.Stdout, cmd.Stderr = s.out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: read why: journalctl -u %s -n 50", enable, err, s.unit.name)
	}
	return s.say("  %s runs.\n%s", s.unit.name, s.firstJob(cfg))
}

// firstJob says what to do for a job to come.
func (s *setUp) firstJob(cfg *config.Config) string {
	label := ""
	for _, p := range cfg.Pools {
		if len(p.Labels) > 0 {
			label = p.Labels[0].Name
			break
		}
	}
	return strings.Join([]string{
		"  Watch it:          " + s.command("status --watch"),
		"  Give it a job:     push a workflow with runs-on: " + label,
		"  If a job waits:    " + s.command("explain JOB"), "",
	}, "\n")
}
