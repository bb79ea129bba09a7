package main

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// unlimited is a width that everything fits into.
const unlimited = 1 << 20

// fitTable writes a table that fits the width. Columns that it has no room for are
// left out, in the order in which they are named; in the end the last column that
// is left is cut short.
func fitTable(b *bytes.Buffer, rows [][]string, width int, dispensable ...string) {
	for _, name := range dispensable {
		if tableWidth(rows) <= width {
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
