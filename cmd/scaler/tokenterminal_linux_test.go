package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// openTerminal returns both ends of a terminal: that of the person and that of
// the program.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	var number, unlocked uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestTokenRevokeAsksOnATerminal(t *testing.T) {
	const question = "Revoke token stacks for good, and deregister 2 runners that came by it? [y/N] "
	for answer, revoked := range map[string]bool{"n\n": false, "\n": false, "yes\n": true} {
		f := swarm()
		person, program := openTerminal(t)
		if _, err := person.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		root := newRootCommand()
		var out, errs bytes.Buffer
		root.SetIn(program)
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs([]string{"token", "revoke", "stacks", "--socket", startGateway(t, f)})
		err := root.ExecuteContext(t.Context())
		if errs.String() != question || f.tokens["stacks"].RevokedAt.IsZero() == revoked {
			t.Errorf("%q: asked %q, token %+v", answer, errs.String(), f.tokens["stacks"])
		}
		switch {
		case revoked && (err != nil || !strings.Contains(out.String(), "is revoked; ")):
			t.Errorf("%q: %v, %q", answer, err, out.String())
		case !revoked && (exitCode(err) != exitFailure || err.Error() != "revoke token stacks: not confirmed"):
			t.Errorf("%q: %v, exit code %d", answer, err, exitCode(err))
		}
	}
}
