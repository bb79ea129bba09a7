package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTheCommittedCodeIsWhatIsGenerated(t *testing.T) {
	text, err := os.ReadFile("../" + source)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../" + output)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the generator makes of %s: run go generate ./internal/gateway/runnerext", output, source)
	}
}

func TestGenerateRefuses(t *testing.T) {
	const head = `syntax = "proto3"; package runner.v1; option go_package = "example.org/x"; `
	for name, tt := range map[string]struct{ text, want string }{
		"a taken name":     {head + `message RegisterRequest {}`, "runner/v1/messages.proto already has runner.v1.RegisterRequest"},
		"a foreign import": {head + `import "nowhere.proto";`, "nowhere.proto"},
		"an unknown type":  {head + `message X { Runner runner = 1; }`, "Runner"},
		"a broken text":    {head + `message {`, "syntax error"},
		"no Go package":    {`syntax = "proto3"; message X {}`, "Go import path"},
		"one number twice": {head + `message X { bool a = 1; bool b = 1; }`, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := generate([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}
