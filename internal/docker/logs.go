package docker

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

const (
	maxLog  = 64 << 10 // bytes of output that are kept
	maxLine = 2000     // characters of one line
)

// Logs returns the last lines of a container of ours, stdout and stderr in the
// order in which they were written, fit to be shown on a terminal: escape
// sequences, control and format characters are gone. At most 64 KiB are kept,
// and 2000 characters of each line.
func (e *Engine) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	full, err := e.own(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	return e.lastLines(ctx, "read logs of "+id, e.logOf(full), lines)
}

// openLog asks for the log of a container or service.
type openLog func(context.Context, container.LogsOptions) (io.ReadCloser, error)

func (e *Engine) logOf(id string) openLog {
	return func(ctx context.Context, o container.LogsOptions) (io.ReadCloser, error) {
		return e.client.ContainerLogs(ctx, id, o)
	}
}

// lastLines is Logs for any log.
func (e *Engine) lastLines(ctx context.Context, what string, open openLog, lines int) ([]string, error) {
	if lines <= 0 {
		return nil, nil
	}
	out := &tail{limit: maxLog}
	err := e.call(ctx, opContainerLogs, what, func(ctx context.Context) error {
		stream, err := open(ctx, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines)})
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		_, err = stdcopy.StdCopy(out, out, stream)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cleanLines(out.String(), lines), nil
}

// tail is a writer that keeps the last bytes written to it.
type tail struct {
	limit int
	buf   []byte
}

// Write implements io.Writer. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.limit:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf[max(0, len(t.buf)-t.limit):]) }

// escapes matches the terminal's control sequences (CSI and OSC).
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?`)

// cleanLines splits the text and returns the last n lines, cleaned.
func cleanLines(text string, n int) []string {
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	all = all[max(0, len(all)-n):]
	for i, line := range all {
		all[i] = cleanLine(line)
	}
	return all
}

func cleanLine(line string) string {
	line = escapes.ReplaceAllString(strings.ToValidUTF8(line, "\uFFFD"), "")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, line)
	if runes := []rune(line); len(runes) > maxLine {
		return string(runes[:maxLine]) + "…"
	}
	return line
}
