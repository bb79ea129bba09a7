package terminaltest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PromptWithin is how long it may be until the next question.
const PromptWithin = time.Minute

// prompt is a line that waits for an answer, with the answer that Enter takes.
var prompt = regexp.MustCompile(`^([A-Z][^\[\]]*?)(?: \[([^\]]*)\])?: $`)

// Converse runs a command at a terminal of its own, and answers each question as
// a person does: with what the answers have for its text, or Enter. It returns the
// questions and all that was on the screen. A command that fails, or that neither
// asks nor ends within PromptWithin, fails the test.
func Converse(t testing.TB, cmd *exec.Cmd, answers map[string]string) (asked []string, screen string) {
	t.Helper()
	person, program := Open(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil { // so that the end of the program is the end of what is read
		t.Fatal(err)
	}
	said := listen(person)
	last := "" // the line that the cursor is in
	for {
		select {
		case text, more := <-said:
			if !more {
				if err := cmd.Wait(); err != nil {
					t.Fatalf("%s: %v\n%s", cmd, err, screen)
				}
				return asked, screen
			}
			screen += text
			last += strings.ReplaceAll(text, "\r", "")
			last = last[strings.LastIndex(last, "\n")+1:]
			q := prompt.FindStringSubmatch(last)
			if q == nil {
				continue
			}
			asked = append(asked, strings.TrimSuffix(last, ": "))
			last = ""
			if _, err := fmt.Fprintln(person, answers[q[1]]); err != nil {
				t.Fatal(err)
			}
		case <-time.After(PromptWithin):
			_ = cmd.Process.Kill()
			t.Fatalf("no question and no end within %s\n%s", PromptWithin, screen)
		}
	}
}

// listen returns what comes from a terminal, until nobody has it open at the
// other end.
func listen(person *os.File) <-chan string {
	said := make(chan string)
	go func() {
		defer close(said)
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			if n > 0 {
				said <- string(buffer[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return said
}
