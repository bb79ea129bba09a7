package main

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// unlimited is a width that everything fits into.
const unlimited = 1 << 20

// leastLast is how much of a long last column is left before others are left out.
const leastLast = 24

// fitTable writes a table that fits the width. The last column is cut short;
// columns that it has no room for even so are left out, in the order in which they
// are named.
func fitTable(b *bytes.Buffer, rows [][]string, width int, dispensable ...string) {
	for _, name := range dispensable {
		if tableWidth(rows)-max(columnWidth(rows, len(rows[0])-1)-leastLast, 0) <= width {
			break
		}
		at := slices.Index(rows[0], name)
		if at < 0 || len(rows[0]) == 1 {
			continue
		}
		fewer := make([][]string, len(rows))
		for i, r := range rows {
			fewer[i] = slices.Delete(slices.Clone(r), at, at+1)
		}
		rows = fewer
	}
	if over := tableWidth(rows) - width; over > 0 {
		last := len(rows[0]) - 1
		room := max(columnWidth(rows, last)-over, 1)
		short := make([][]string, len(rows))
		for i, r := range rows {
			short[i] = slices.Clone(r)
			short[i][last] = cut(r[last], room)
		}
		rows = short
	}
	table(b, rows)
}

// nameWidth is the width under which the names of runners are cut.
const nameWidth = 80

// shortName is the name of a runner, on a narrow terminal without what all of an
// instance begin with.
func shortName(name string, width int) string {
	rest, ours := strings.CutPrefix(name, "scaler-")
	_, rest, more := strings.Cut(rest, "-")
	if width >= nameWidth || !ours || !more {
		return name
	}
	return "…" + rest
}

// tableWidth is how wide table writes the rows.
func tableWidth(rows [][]string) int {
	width := 0 // the indent is as wide as the gaps
	for i := range rows[0] {
		width += 2 + columnWidth(rows, i)
	}
	return width
}

func columnWidth(rows [][]string, column int) int {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[column]))
	}
	return width
}

// bytesText prints an amount of memory.
func bytesText(n int64) string { return units.BytesSize(float64(n)) }
