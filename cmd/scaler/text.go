package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean makes text from outside fit for one cell of a table. Names of jobs
// and messages of servers are other people's: a control character among them
// could move the cursor or change the reader's terminal.
func clean(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// orDash stands for nothing in a table.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age prints how long ago something was, as exactly as one cares.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case hours >= 48:
		return fmt.Sprintf("%dd%dh", days, hours%24)
	case hours >= 1:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes >= 1:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// clock prints a moment.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// section writes a heading between empty lines.
func section(b *bytes.Buffer, format string, args ...any) {
	fmt.Fprintf(b, "\n"+format+"\n", args...)
}

// table writes rows in aligned columns, indented; the first one is the
// heading.
func table(b *bytes.Buffer, rows [][]string) {
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 8, 2, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // a buffer takes everything
	for line := range strings.Lines(aligned.String()) {
		fmt.Fprintf(b, "  %s\n", strings.TrimRight(line, " \n"))
	}
}

// wrap writes a line of text after the prefix, broken between words so that it
// fits the width. The lines that follow are indented as far as the prefix
// reaches.
func wrap(b *bytes.Buffer, prefix, text string, width int) {
	used := len(prefix)
	b.WriteString(prefix)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i > 0 && used+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", len(prefix)))
			used = len(prefix)
		case i > 0:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
}
