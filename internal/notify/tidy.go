package notify

import (
	"strings"
	"unicode"
)

// tidy makes a text of others fit to be passed on: on one line, without control
// characters, and no longer than n characters.
func tidy(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, strings.Join(strings.Fields(s), " "))
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
