//go:build manual

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"scaler.io/scaler/internal/config"
)

// packagersCommands are for whoever makes a package.
func packagersCommands() []*cobra.Command { return []*cobra.Command{newManCommand()} }

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		Long: `Write a manual page for each command, in section 1, and scaler.yaml(5) into DIR.

Their date is today's, or that of SOURCE_DATE_EPOCH in the environment, in
seconds since 1970, so that the same sources give the same pages.`,
		RunE: func(_ *cobra.Command, args []string) error {
			date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return err
			}
			return writeManual(args[0], date)
		},
	}
}

// sourceDate is what SOURCE_DATE_EPOCH says, or now if it is empty. See
// https://reproducible-builds.org/docs/source-date-epoch/.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read SOURCE_DATE_EPOCH: %q is no number of seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// writeManual writes all pages into the directory, which is made if it is
// missing.
func writeManual(dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory for the manual: %w", err)
	}
	root := newRootCommand()
	root.InitDefaultCompletionCmd()
	forManual(root)
	source := "scaler " + readBuildInfo().Version
	err := doc.GenManTreeFromOpts(root, doc.GenManTreeOptions{
		Header: &doc.GenManHeader{Section: "1", Date: &date, Source: source, Manual: "scaler"},
		Path:   dir, CommandSeparator: "-",
	})
	if err != nil {
		return fmt.Errorf("write manual: %w", err)
	}
	page := fmt.Sprintf("%% \"SCALER.YAML\" \"5\" \"%s\" \"%s\" \"scaler\"\n%s", date.Format("Jan 2006"), source, configManual())
	if err := os.WriteFile(filepath.Join(dir, "scaler.yaml.5"), md2man.Render([]byte(page)), 0o644); err != nil {
		return fmt.Errorf("write manual: %w", err)
	}
	return nil
}

// forManual makes Markdown of the texts of all commands, which are written for
// a terminal.
func forManual(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Short, cmd.Long = inMarkdown(cmd.Short), inMarkdown(cmd.Long)
	cmd.InitDefaultHelpFlag()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { f.Usage = inMarkdown(f.Usage) })
	for _, child := range cmd.Commands() {
		forManual(child)
	}
}

// inMarkdown keeps lines that are indented as they stand, as with a table or
// an example, and takes the special meaning from all characters of the others
// but the backquote.
func inMarkdown(text string) string {
	var b strings.Builder
	verbatim := false
	for line := range strings.Lines(text) {
		blank := strings.TrimSpace(line) == ""
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if !blank && indented != verbatim {
			b.WriteByte('\n')
			verbatim = indented
		}
		switch {
		case blank:
			b.WriteByte('\n')
		case indented:
			b.WriteString("    " + line)
		default:
			b.WriteString(plain(line))
		}
	}
	return b.String()
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "[", `\[`, "]", `\]`, "|", `\|`, "&", `\&`, "~", `\~`, "#", `\#`)

// plain escapes what Markdown would take for more than text, outside of
// backquotes.
func plain(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = markdownEscapes.Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// configManual is the page of the configuration file, in Markdown.
func configManual() string {
	var b strings.Builder
	b.WriteString(`# NAME
scaler.yaml \- configuration file of scaler

# SYNOPSIS
**/etc/scaler/scaler.yaml**

# DESCRIPTION
One YAML file holds all settings of **scaler-run(1)**. Another one is named with **--config**. It is read strictly: an unknown key is an error. **scaler-validate(1)** prints all errors at once, each with its line.

The running daemon takes a changed file over by itself. A file with an error changes nothing.

In the names below a dot stands between a mapping and its key, and [] after a list means each of its elements.

# KEYS
`)
	describe(&b, config.Settings())
	b.WriteString("# SECRETS\nA secret is a mapping with exactly one of these keys. A secret that is written in the file itself is refused, and so is a secret file that other users can read.\n\n")
	describe(&b, config.SecretSettings())
	b.WriteString("# VALUES\n" + plain(config.ValueFormats) + `
# FILES
**/etc/scaler/scaler.yaml**
: The configuration.

**/etc/scaler/scaler.yaml.example**
: All settings with comments, where a package has installed scaler.

**/var/lib/scaler**
: The daemon's records of its runners.

**/run/scaler/scaler.sock**
: The control socket.

# SEE ALSO
**scaler(1)**, **scaler-run(1)**, **scaler-validate(1)**, **scaler-config-reference(1)**, **scaler-config-schema(1)**
`)
	return b.String()
}

func describe(b *strings.Builder, settings []config.Setting) {
	for _, s := range settings {
		fmt.Fprintf(b, "**%s**", plain(s.Path))
		about := plain(s.Kind)
		switch s.Default {
		case "", "required":
			about = strings.TrimSuffix(about+", "+s.Default, ", ")
		default:
			about += ", default " + s.Default
		}
		fmt.Fprintf(b, " (%s)\n: %s\n\n", about, plain(s.Meaning))
	}
}
