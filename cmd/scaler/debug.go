package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/server"
)

// profileFlags say which profile to take, and where it goes.
type profileFlags struct {
	daemonFlags
	kind    string
	seconds int
	out     string
	json    bool
}

// takenProfile says as JSON which profile was taken.
type takenProfile struct {
	File string `json:"file"`
	Kind string `json:"kind"`
	Size int    `json:"size"` // bytes
}

func newDebugProfileCommand() *cobra.Command {
	var flags profileFlags
	cmd := &cobra.Command{
		Use: "profile", Short: "Take a profile of the running daemon, for go tool pprof", Args: cobra.NoArgs,
		Long: `Take a profile of the running daemon, which goes on meanwhile, and write it to a
file that does not exist yet. Look at it with go tool pprof FILE.

cpu, mutex and block are taken over --seconds, the others of this moment. A
profile has names of functions, counts and sizes, and nothing of what is in
memory.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return takeProfile(cmd, &flags) },
	}
	flags.add(cmd)
	kinds := server.ProfileKinds()
	cmd.Flags().StringVar(&flags.kind, "kind", "cpu", "what to look at: "+strings.Join(kinds, ", "))
	cmd.Flags().IntVar(&flags.seconds, "seconds", 10, fmt.Sprintf("how long cpu, mutex and block look, at most %d", int(server.MaxProfile.Seconds())))
	cmd.Flags().StringVar(&flags.out, "out", "", "file to write, or - for standard output (default KIND.pprof)")
	addJSONFlag(cmd, &flags.json)
	return cmd
}

// check finds what is wrong with the flags.
func (f *profileFlags) check(cmd *cobra.Command) error {
	most := int(server.MaxProfile.Seconds())
	switch {
	case !slices.Contains(server.ProfileKinds(), f.kind):
		return &usageError{fmt.Sprintf("unknown kind %q: write one of %s", f.kind, strings.Join(server.ProfileKinds(), ", "))}
	case cmd.Flags().Changed("seconds") && !server.TimedProfile(f.kind):
		return &usageError{fmt.Sprintf("a profile of kind %s is of one moment: leave out --seconds", f.kind)}
	case f.seconds < 1 || f.seconds > most:
		return &usageError{fmt.Sprintf("--seconds is %d: it must be from 1 to %d", f.seconds, most)}
	case f.json && f.out == "-":
		return &usageError{"standard output is for the profile or for JSON: leave out --json, or name a file with --out"}
	}
	if f.out == "" {
		f.out = f.kind + ".pprof"
	}
	return nil
}

func takeProfile(cmd *cobra.Command, f *profileFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	d, err := f.find(cmd)
	if err != nil {
		return err
	}
	var file *os.File // opened first, so that no profile is taken in vain
	if f.out != "-" {
		if file, err = os.OpenFile(f.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("write profile: %w: give another file with --out", err)
		}
	}
	profile, err := d.client.Profile(cmd.Context(), f.kind, time.Duration(f.seconds)*time.Second)
	switch {
	case file == nil && err != nil:
		return err
	case file == nil:
		return printTo(cmd.OutOrStdout(), profile)
	case err != nil:
		_ = file.Close() // nothing was written
		_ = os.Remove(f.out)
		return err
	}
	if err := writeAndClose(file, profile); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	return show(cmd, f.json, takenProfile{File: f.out, Kind: f.kind, Size: len(profile)}, func(b *bytes.Buffer) {
		fmt.Fprintf(b, "%s: %d bytes; look at it with go tool pprof %s\n", f.out, len(profile), f.out)
	})
}

func writeAndClose(w io.WriteCloser, data []byte) error {
	_, err := w.Write(data)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}
