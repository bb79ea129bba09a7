package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/giteatest"
)

// cleanupTimeout bounds the removal of what an interrupted demo leaves.
const cleanupTimeout = time.Minute

func newDemoCommand() *cobra.Command {
	var jobs int
	var file, profile string
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch real containers come and go for a queue of jobs", Args: cobra.NoArgs,
		Long: `Watch real containers come and go for a queue of jobs.

An in-memory Gitea gets jobs over some seconds; the daemon, with two pools,
starts a runner container for each on this machine's Docker Engine. The image
is made from this very program, and nothing is pulled. In the end nothing is
left. The exit code is 1 unless all jobs were completed and nothing is left.

With --profile the server behaves as another release. One that cannot delete
runners is left with identities that would be used again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if jobs < 1 {
				return &usageError{"--jobs must be at least 1"}
			}
			release, err := profileFlag(profile)
			if err != nil {
				return err
			}
			d := &demo{jobs: jobs, release: release, out: cmd.OutOrStdout(), view: newDemoView(cmd.OutOrStdout())}
			// A terminal that is closed must leave nothing either.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			figures, err := d.run(ctx)
			if file != "" && figures != nil {
				err = errors.Join(err, writeFigures(file, *figures))
			}
			return err
		},
	}
	cmd.Flags().IntVar(&jobs, "jobs", 20, "how many jobs to queue")
	cmd.Flags().StringVar(&file, "json", "", "write the figures to this file")
	addProfileFlag(cmd, &profile)
	return cmd
}

// demo is one run of the demo.
type demo struct {
	jobs    int
	release giteatest.Profile // of the server
	out     io.Writer
	view    *demoView
	dir     string // for its files, removed at the end
	log     *bytes.Buffer
	removed
}

// run sets the stage, plays, and clears everything away. The figures are nil
// if it did not come to play.
func (d *demo) run(ctx context.Context) (figures *demoFigures, err error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("the demo runs this program inside Linux containers, so it needs Linux (this is %s)", runtime.GOOS)
	}
	d.dir, err = os.MkdirTemp("", "scaler-demo")
	if err != nil {
		return nil, fmt.Errorf("make directory for the demo: %w", err)
	}
	defer os.RemoveAll(d.dir)
	s := &stage{log: d.quietLogger()}
	if err := d.setUp(ctx, s); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	defer func() {
		figures, err = d.clearUp(ctx, s, figures, err)
	}()
	return d.play(ctx, s)
}

// clearUp removes what is left, which is nothing unless the demo was
// interrupted or has failed, and completes the figures.
func (d *demo) clearUp(ctx context.Context, s *stage, figures *demoFigures, err error) (*demoFigures, error) {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	left, listErr := s.parts.first().engine.List(ctx)
	if listErr != nil {
		err = errors.Join(err, listErr)
	}
	for _, c := range left {
		err = errors.Join(err, s.parts.first().engine.Remove(ctx, c.ID, true))
	}
	err = errors.Join(err, s.close(ctx))
	if interrupted {
		fmt.Fprintf(d.out, "Interrupted: %d containers removed, nothing is left.\n", len(left))
		return nil, errors.Join(err, &exitError{exitFailure})
	}
	if figures == nil {
		return nil, err
	}
	figures.LeftContainers = len(left)
	d.view.summary(*figures)
	if err == nil && !figures.good() {
		err = errors.New("the demo failed: not all jobs were completed, or something is left; the end of the daemon's log:\n" + lastLines(d.log.String(), 15))
	}
	return figures, err
}

// selfImage makes the image of the demo's runners from this program.
func selfImage(ctx context.Context, engine imageMaker, ref string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return engine.ImportImage(ctx, ref, self, []string{"/scaler", "demo-runner"}, map[string]string{"io.scaler.demo": "true"})
}

// quietLogger keeps the daemon's log for the case that the demo fails.
func (d *demo) quietLogger() *slog.Logger {
	d.log = &bytes.Buffer{}
	return slog.New(slog.NewTextHandler(d.log, nil))
}
