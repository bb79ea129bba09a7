package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

func newStateCheckCommand() *cobra.Command {
	var flags stateFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Read all of the state and say what is wrong with it", Args: cobra.MaximumNArgs(1),
		Long: `Read all of the state, every page, record, token, enrolment and line of the audit
log, and say what is wrong with it. Nothing is changed. The exit code is 1 if
there is a fault.

If a daemon has the state open it is asked for a copy, and that is checked. With
FILE, that file is checked, for instance a backup.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return checkState(cmd, args[0], args[0], "", asJSON)
			}
			return flags.read(cmd, func(r readable) error { return checkState(cmd, r.file(), r.source, r.origin, asJSON) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newStateBackupCommand() *cobra.Command {
	var flags stateFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the state to a file, which holds the runners' tokens", Args: oneFile,
		Long: `Copy the state to a file that does not exist yet and that nobody else can read,
and check the copy. A running daemon is asked for it and goes on meanwhile.

The copy holds the runners' own tokens, and of the gateway's tokens their hashes.
To put it back, stop the daemon and copy it to scaler.db in the state directory.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.read(cmd, func(r readable) error { return backUpState(cmd, r, args[0], asJSON) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newStateExportCommand() *cobra.Command {
	var flags stateFlags
	cmd := &cobra.Command{
		Use: "export", Short: "Print all records, tokens and enrolments as JSON, without secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.read(cmd, func(r readable) error { return exportState(cmd.OutOrStdout(), r) })
		},
	}
	flags.add(cmd)
	cmd.Flags().Bool("json", true, "print JSON; there is no other form")
	return cmd
}

// oneFile checks that exactly one file is named.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("want the name of one file, got %d", len(args))
	}
	return nil
}

// stateReport is the JSON form of what a check found.
type stateReport struct {
	Source    string         `json:"source"`
	Good      bool           `json:"good"`
	Faults    []string       `json:"faults"`
	Instance  string         `json:"instance"`
	Format    uint64         `json:"format"`
	CreatedAt time.Time      `json:"created_at,omitzero"`
	Size      int64          `json:"size"` // bytes
	Runners   int            `json:"runners"`
	Phases    map[string]int `json:"phases"`

	Tokens       int `json:"tokens"`
	Enrolments   int `json:"enrolments"`
	AuditEntries int `json:"audit_entries"`
	Corpses      int `json:"corpses"` // that the server could not delete
}

// checkState checks a file and prints what it found. Faults make the exit code
// a failure.
func checkState(cmd *cobra.Command, path, source, instanceDir string, asJSON bool) error {
	found, err := state.Check(path, instanceDir)
	if err != nil {
		return err
	}
	r := stateReport{Source: source, Good: len(found.Faults) == 0, Faults: []string{}, Instance: found.Instance, Format: found.Format,
		CreatedAt: found.CreatedAt, Size: found.Size, Runners: len(found.Records), Phases: map[string]int{},
		Tokens: found.Tokens, Enrolments: found.Enrolments, AuditEntries: found.AuditEntries, Corpses: found.Corpses}
	for _, f := range found.Faults {
		r.Faults = append(r.Faults, f.Error())
	}
	for _, rec := range found.Records {
		r.Phases[string(rec.Phase)]++
	}
	err = show(cmd, asJSON, r, func(b *bytes.Buffer) { writeStateReport(b, r) })
	if err == nil && !r.Good {
		err = &exitError{exitFailure}
	}
	return err
}

// writeStateReport writes a report for people.
func writeStateReport(b *bytes.Buffer, r stateReport) {
	if r.Good {
		fmt.Fprintf(b, "%s: good\n", r.Source)
	} else {
		fmt.Fprintf(b, "%s: not to be trusted\n", r.Source)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(b, "  fault: %s\n", clean(f))
	}
	if r.Format == 0 && !r.Good {
		return // nothing more can be read
	}
	var phases []string
	for _, p := range slices.Sorted(maps.Keys(r.Phases)) {
		phases = append(phases, fmt.Sprintf("%d %s", r.Phases[p], clean(p)))
	}
	runners := count(r.Runners, "runner")
	if len(phases) > 0 {
		runners += ": " + strings.Join(phases, ", ")
	}
	created := "-"
	if !r.CreatedAt.IsZero() {
		created = clock(r.CreatedAt)
	}
	table(b, [][]string{
		{"Instance", orDash(clean(r.Instance))},
		{"Format", fmt.Sprint(r.Format)},
		{"Created", created},
		{"Size", count(int(r.Size), "byte")},
		{"Holds", runners},
		{"Corpses", count(r.Corpses, "runner") + " that the server could not delete"},
		{"Gateway", count(r.Tokens, "token") + ", " + count(r.Enrolments, "enrolment") + ", " + count(r.AuditEntries, "line") + " of audit log"},
	})
}

// backUp says as JSON which copy of the state was made.
type backUp struct {
	File     string `json:"file"`
	Source   string `json:"source"` // of what it is a copy
	Instance string `json:"instance"`
	Size     int64  `json:"size"` // bytes
	Runners  int    `json:"runners"`
}

// backUpState copies the state to a new file and checks the copy.
func backUpState(cmd *cobra.Command, r readable, path string, asJSON bool) error {
	s, err := state.OpenReadOnly(r.dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := writeNewPrivate(path, s); err != nil {
		return err
	}
	found, err := state.Check(path, "")
	if err == nil {
		err = errors.Join(found.Faults...)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("check the copy %s: %w", path, err), os.Remove(path))
	}
	made := backUp{File: path, Source: r.source, Instance: found.Instance, Size: found.Size, Runners: len(found.Records)}
	return show(cmd, asJSON, made, func(b *bytes.Buffer) {
		fmt.Fprintf(b, "%s: %s of instance %s, from %s\n", made.File, count(made.Runners, "runner"), made.Instance, made.Source)
	})
}

// writeNewPrivate writes a file with mode 0600 that must not exist yet. When
// it returns without an error the file is on disk.
func writeNewPrivate(path string, content io.WriterTo) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	_, err = content.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write backup %s: %w", path, err), os.Remove(path))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write backup %s: %w", path, err)
	}
	return nil
}

// stateExport is everything in the state that may be shown.
type stateExport struct {
	Instance   string                  `json:"instance"`
	Format     uint64                  `json:"format"`
	CreatedAt  time.Time               `json:"created_at,omitzero"`
	Runners    []state.Record          `json:"runners"`    // whose JSON has no token
	Tokens     []state.TokenRecord     `json:"tokens"`     // whose JSON has no hash
	Enrolments []state.EnrolmentRecord `json:"enrolments"` // whose JSON has none either
	Corpses    []plan.CorpseStatus     `json:"corpses"`    // that the server could not delete
}

func exportState(w io.Writer, r readable) error {
	s, err := state.OpenReadOnly(r.dir)
	if err != nil {
		return err
	}
	defer s.Close()
	records, recordsErr := s.Records()
	tokens, tokensErr := s.Tokens()
	enrolments, enrolmentsErr := s.Enrolments()
	corpses, corpsesErr := s.Corpses()
	if err := errors.Join(recordsErr, tokensErr, enrolmentsErr, corpsesErr); err != nil {
		return err
	}
	shown := make([]plan.CorpseStatus, 0, len(corpses))
	for _, c := range corpses {
		shown = append(shown, c.Status())
	}
	return printJSON(w, stateExport{
		Instance: s.Instance(), Format: s.Format(), CreatedAt: s.CreatedAt(), Runners: append([]state.Record{}, records...),
		Tokens: append([]state.TokenRecord{}, tokens...), Enrolments: append([]state.EnrolmentRecord{}, enrolments...), Corpses: shown,
	})
}
