package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"scaler.io/scaler/internal/terminaltest"
)

// awaitEcho waits until a terminal echoes what is typed, or does not.
func awaitEcho(t *testing.T, terminal *os.File, on bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if terminaltest.Echoes(t, terminal) == on {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the echo is not %v in time", on)
		}
	}
}

func TestInitHidesWhatIsTypedOnATerminal(t *testing.T) {
	person, program := terminaltest.Open(t)
	var out bytes.Buffer
	a := newAsker(program, &out, false)
	answered := make(chan string, 1)
	go func() {
		answer, err := a.ask(t.Context(), question{text: "Password", hidden: true})
		answered <- fmt.Sprint(answer, err)
	}()
	// The terminal echoes until the program reads: what is typed then is not.
	awaitEcho(t, program, false)
	if _, err := person.WriteString("secret\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "secret<nil>" {
		t.Errorf("read %q", got)
	}
	awaitEcho(t, program, true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := a.ask(ctx, question{text: "Password", hidden: true})
		answered <- fmt.Sprint(err)
	}()
	awaitEcho(t, program, false)
	cancel()
	if got := <-answered; got != "context canceled" {
		t.Errorf("interrupted: %q", got)
	}
	awaitEcho(t, program, true)
}
