package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// asker asks questions on plain lines, one after the other, so that they work
// over any connection and are read out well. It never draws, and never reads
// single keys.
type asker struct {
	in     *bufio.Reader
	source io.Reader // below in
	out    io.Writer
	// defaults are taken without a question, and what has none is an error.
	defaults bool
}

func newAsker(in io.Reader, out io.Writer, defaults bool) *asker {
	return &asker{in: bufio.NewReader(in), source: in, out: out, defaults: defaults}
}

// question is one question.
type question struct {
	text string
	help string // what ? shows
	flag string // that answers it, without dashes
	def  string // what an empty answer means; empty if there must be one
	// given is the answer of a flag. It is checked as any other.
	given   string
	hidden  bool // the answer is a secret, and not echoed
	options []choice
	// other says that an answer which is none of the options is one too.
	other bool
	check func(string) error // nil: anything goes
}

// choice is one of several answers.
type choice struct{ value, what string }

// errNoAnswer is for a question to which there is neither a flag nor a default.
var errNoAnswer = errors.New("there is no answer to a question")

// ask asks until it has an answer that is right. A given answer that is wrong is
// an error, as there is nobody to ask again.
func (a *asker) ask(ctx context.Context, q question) (string, error) {
	if q.given != "" {
		answer, err := q.judge(q.given)
		if err != nil {
			return "", &usageError{fmt.Sprintf("--%s: %v", q.flag, err)}
		}
		shown := answer
		if q.hidden {
			shown = "given"
		}
		return answer, a.say("%s: %s (--%s)\n", q.text, shown, q.flag)
	}
	if a.defaults {
		if q.def == "" {
			return "", fmt.Errorf("%w: %s: give --%s", errNoAnswer, q.text, q.flag)
		}
		answer, err := q.judge(q.def)
		if err != nil {
			return "", fmt.Errorf("%s: %w: give --%s", q.text, err, q.flag)
		}
		return answer, a.say("%s: %s\n", q.text, answer)
	}
	if err := a.offer(q); err != nil {
		return "", err
	}
	for {
		if err := a.prompt(q); err != nil {
			return "", err
		}
		line, err := a.read(ctx, q.hidden)
		switch {
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("%w: the input ended at %q: give --%s, or --yes to take the defaults", errNoAnswer, q.text, q.flag)
		case err != nil:
			return "", err
		}
		line = strings.TrimSpace(line)
		if line == "?" {
			if err := a.say("%s\n", q.help); err != nil {
				return "", err
			}
			continue
		}
		if line == "" {
			line = q.def
		}
		answer, err := q.judge(line)
		if err == nil {
			return answer, nil
		}
		if err := a.say("  %v.\n", err); err != nil {
			return "", err
		}
	}
}

// offer lists the options.
func (a *asker) offer(q question) error {
	for i, o := range q.options {
		if err := a.say("  %d  %s: %s\n", i+1, o.value, o.what); err != nil {
			return err
		}
	}
	return nil
}

func (a *asker) prompt(q question) error {
	if q.def == "" {
		return a.say("%s: ", q.text)
	}
	return a.say("%s [%s]: ", q.text, q.def)
}

// judge returns the answer that a line is.
func (q question) judge(line string) (string, error) {
	if line == "" {
		return "", errors.New("an answer is needed; ? explains")
	}
	if len(q.options) > 0 {
		if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(q.options) {
			line = q.options[n-1].value
		}
		var values []string
		known := q.other
		for _, o := range q.options {
			values = append(values, o.value)
			known = known || o.value == line
		}
		if !known {
			return "", fmt.Errorf("%q is none of %s", line, strings.Join(values, ", "))
		}
	}
	if q.check != nil {
		if err := q.check(line); err != nil {
			return "", err
		}
	}
	return line, nil
}

// confirm asks a question that is answered by yes or no.
func (a *asker) confirm(ctx context.Context, q question) (bool, error) {
	q.check = func(s string) error {
		switch strings.ToLower(s) {
		case "y", "yes", "n", "no":
			return nil
		}
		return errors.New("answer yes or no")
	}
	answer, err := a.ask(ctx, q)
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}

func (a *asker) say(format string, args ...any) error {
	return printTo(a.out, fmt.Appendf(nil, format, args...))
}

// read reads a line. What is typed at a hidden question is not echoed where the
// input is a terminal; the terminal is as it was when read returns, also when
// ctx ends.
func (a *asker) read(ctx context.Context, hidden bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	fd := -1
	if file, isFile := a.source.(*os.File); isFile {
		fd = int(file.Fd())
	}
	secret := hidden && fd >= 0 && term.IsTerminal(fd)
	type result struct {
		line string
		err  error
	}
	said := make(chan result, 1)
	var before *term.State
	if secret {
		before, _ = term.GetState(fd) // without it there is nothing to put back
	}
	go func() { // outlives an interrupt, as reading cannot be broken off
		if secret {
			line, err := term.ReadPassword(fd)
			said <- result{string(line), err}
			return
		}
		line, err := a.in.ReadString('\n')
		if err == io.EOF && line != "" {
			err = nil
		}
		said <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		if before != nil {
			_ = term.Restore(fd, before) // nothing more can be done
		}
		return "", ctx.Err()
	case r := <-said:
		if secret {
			r.err = errors.Join(r.err, a.say("\n"))
		}
		return r.line, r.err
	}
}
