package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// show prints what a command has found: as JSON, or as the text that write makes
// of it.
func show(cmd *cobra.Command, asJSON bool, v any, write func(b *bytes.Buffer)) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), v)
	}
	var b bytes.Buffer
	write(&b)
	return printTo(cmd.OutOrStdout(), b.Bytes())
}

func addJSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

// printJSON prints one indented document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// printTo writes what a command has to say in one piece.
func printTo(w io.Writer, text []byte) error {
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// printLine prints one line of JSON.
func printLine(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return printTo(w, b.Bytes())
}
