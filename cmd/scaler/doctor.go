package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/doctor"
)

func newDoctorCommand() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at all that the daemon needs, and say what to do about what is wrong", Args: cobra.NoArgs,
		Long: `Look at all that the daemon needs: the configuration and its secrets, Gitea and
what the API token may do there, the clocks, the Docker engine, the images of
the pools, the way from inside a container to Gitea, the webhook, the state.
What is wrong is told with what to do about it.

Nothing is changed: a permission to delete or disable is tried on a runner that
does not exist. Only where a scope has no registration token at all, Gitea makes
one as it is asked for it. For the way from inside a container, an image is made of this
program alone, and removed with its container in the end. With --job one runner
is started as the daemon would do it, under a label that no job asks for, seen
online in Gitea, and taken away again.

Run it as root or as the daemon's user. It works beside a running daemon.

The exit code is 1 if something has failed. A warning does not change it.`,
		Example: `  scaler doctor
  scaler doctor --job --pool linux
  scaler doctor --json | jq '.findings[] | select(.result != "ok")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.pool != "" && !flags.job {
				return &usageError{"--pool says which pool --job starts a runner of: give --job too"}
			}
			e := newExam(cmd.Context(), flags)
			if err := e.checkFlags(); err != nil {
				return err
			}
			found := e.run(cmd.Context(), cmd.OutOrStdout(), flags.asJSON)
			if flags.asJSON {
				if err := printJSON(cmd.OutOrStdout(), newDoctorReport(flags.config, found)); err != nil {
					return err
				}
			}
			if doctor.Count(found, doctor.ResultFailed) > 0 || cmd.Context().Err() != nil {
				return &exitError{exitFailure}
			}
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}

// doctorFlags say what is looked at.
type doctorFlags struct {
	config string
	server string
	unit   string
	asJSON bool
	job    bool
	pool   string
}

func (f *doctorFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	addServerFlag(cmd, &f.server, "that is looked at")
	addJSONFlag(cmd, &f.asJSON)
	cmd.Flags().BoolVar(&f.job, "job", false, "start one runner, see it online in Gitea, and take it away again")
	cmd.Flags().StringVar(&f.pool, "pool", "", "`POOL` that --job starts a runner of (default the first one)")
	cmd.Flags().StringVar(&f.unit, "unit", defaultUnit, "systemd `UNIT` that runs the daemon")
}

// doctorReport is the output of scaler doctor --json.
type doctorReport struct {
	OK       bool             `json:"ok"` // nothing has failed
	Version  string           `json:"version"`
	Config   string           `json:"config"`
	Findings []doctor.Finding `json:"findings"`
}

func newDoctorReport(path string, found []doctor.Finding) doctorReport {
	return doctorReport{OK: doctor.Count(found, doctor.ResultFailed) == 0, Version: readBuildInfo().Version, Config: path, Findings: found}
}

// run runs the checks, prints what each found as soon as it is its turn unless
// that is to be JSON, and clears away what they have made.
func (e *exam) run(ctx context.Context, out io.Writer, quiet bool) []doctor.Finding {
	var view doctorView
	show := func(found []doctor.Finding) {
		if !quiet {
			_ = printTo(out, view.lines(found)) // what counts is the exit code
		}
	}
	found := doctor.Run(ctx, e.checks(), show)
	left := e.close(ctx)
	show(left)
	found = append(found, left...)
	if !quiet {
		_ = printTo(out, []byte(tally(found)))
	}
	return found
}

// doctorView prints findings under their headings.
type doctorView struct{ group string }

// doctorWidth is where lines are broken.
const doctorWidth = 100

func (v *doctorView) lines(found []doctor.Finding) []byte {
	var b bytes.Buffer
	for _, f := range found {
		if f.Group != v.group {
			if v.group != "" {
				b.WriteByte('\n')
			}
			v.group = f.Group
			fmt.Fprintf(&b, "%s\n", f.Group)
		}
		took := ""
		if f.TookMS >= 1000 {
			took = fmt.Sprintf(" (%.1f s)", float64(f.TookMS)/1000)
		}
		wrap(&b, fmt.Sprintf("  %-8s ", f.Result), clean(f.Subject+": "+f.Detail)+took, doctorWidth)
		if f.Remedy != "" {
			wrap(&b, "           To do: ", clean(f.Remedy), doctorWidth)
		}
	}
	return b.Bytes()
}

// tally counts what was found.
func tally(found []doctor.Finding) string {
	var parts []string
	for _, result := range []doctor.Result{doctor.ResultOK, doctor.ResultWarning, doctor.ResultFailed, doctor.ResultSkipped} {
		if n := doctor.Count(found, result); n > 0 || result == doctor.ResultFailed {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	return fmt.Sprintf("\n%s: %s.\n", count(len(found), "finding"), strings.Join(parts, ", "))
}
