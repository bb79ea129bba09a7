package main

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"scaler.io/scaler/internal/terminaltest"
)

// Control sequences that go to the terminal's other screen and back.
const (
	otherScreen = "\x1b[?1049h"
	back        = "\x1b[?1049l"
)

// settings are those of a terminal.
func settings(t *testing.T, f *os.File) (s syscall.Termios) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&s))); errno != 0 {
		t.Fatal(errno)
	}
	return s
}

// A full screen fills a terminal, and leaves it as it was.
func TestScreensOnATerminal(t *testing.T) {
	for name, args := range map[string][]string{"status": {"status", "--watch"}, "top": {"top"}} {
		t.Run(name, func(t *testing.T) {
			f := operated()
			person, program := terminaltest.Open(t)
			size := [4]uint16{30, 100, 0, 0}
			if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
				t.Fatal(errno)
			}
			before := settings(t, program)
			var mu sync.Mutex
			var seen bytes.Buffer
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := person.Read(buf)
					if err != nil {
						return
					}
					mu.Lock()
					seen.Write(buf[:n])
					mu.Unlock()
				}
			}()
			has := func(s string) bool {
				mu.Lock()
				defer mu.Unlock()
				return strings.Contains(seen.String(), s)
			}
			await := func(what string, is func() bool) {
				t.Helper()
				for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("no %s in %q", what, seen.String())
					}
				}
			}
			root := newRootCommand()
			root.SetIn(program)
			root.SetOut(program)
			root.SetErr(program)
			root.SetArgs(append(args, "--socket", f.start(t)))
			done := make(chan error, 1)
			go func() { done <- root.ExecuteContext(t.Context()) }()
			await("picture", func() bool { return has(otherScreen) && has("linux-busy") })
			if _, err := person.WriteString("q"); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("q does not end it")
			}
			await("way back", func() bool { return has(back) })
			if now := settings(t, program); now != before {
				t.Errorf("the terminal has %+v, had %+v", now, before)
			}
		})
	}
}
