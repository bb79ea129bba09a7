package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
)

// maxNotice bounds what a template may make of a notice, in bytes. No service
// takes more.
const maxNotice = 256 << 10

// NoticeTemplate makes the body of a notification. The zero NoticeTemplate
// makes JSON of the whole Notice.
type NoticeTemplate struct{ parsed *template.Template }

// noticeFuncs are what a template can call beside Go's own functions. They are
// documented in docs/notifications.md.
var noticeFuncs = template.FuncMap{
	"json":     compactJSON,
	"cut":      cutText,
	"slack":    strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace,
	"markdown": escapeMarkdown,
	"discreet": func(text string) string { before, _, _ := strings.Cut(text, LogMark); return before },
}

// ParseNoticeTemplate reads a template in the notation of Go's text/template.
// The empty text gives the zero NoticeTemplate.
func ParseNoticeTemplate(text string) (NoticeTemplate, error) {
	if text == "" {
		return NoticeTemplate{}, nil
	}
	t, err := template.New("template").Funcs(noticeFuncs).Parse(text)
	if err != nil {
		return NoticeTemplate{}, err
	}
	return NoticeTemplate{t}, nil
}

// Render makes the body for a notice. An empty body means that there is
// nothing to be sent.
func (t NoticeTemplate) Render(n Notice) ([]byte, error) {
	if t.parsed == nil {
		text, err := compactJSON(n)
		return []byte(text), err
	}
	var b bytes.Buffer
	if err := t.parsed.Execute(&limited{to: &b, left: maxNotice}, n); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// compactJSON is v as JSON on one line, as it is read best: without escapes
// for HTML.
func compactJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// cutText shortens a text to n characters.
func cutText(n int, s string) (string, error) {
	if n < 1 {
		return "", fmt.Errorf("cut to %d characters: give 1 or more", n)
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s, nil
	}
	return string(runes[:n-1]) + "…", nil
}

// escapeMarkdown makes text stand in Markdown as it is, with no link, mention
// or reference to an issue made of it.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '@' || r == '#' || r == '!':
			// A reference is looked for in the text as it is shown, so that a
			// backslash would not help: an invisible joiner does.
			b.WriteRune(r)
			b.WriteRune('\u2060')
			continue
		case strings.ContainsRune("\\`*_{}[]()<>+-.|~&", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

var errTooMuch = errors.New("the template gives more than 256 KiB")

// limited is a writer that takes so many bytes.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errTooMuch
	}
	l.left -= len(p)
	return l.to.Write(p)
}
