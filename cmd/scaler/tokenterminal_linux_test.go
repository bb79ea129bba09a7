package main

import (
	"bytes"
	"strings"
	"testing"

	"scaler.io/scaler/internal/terminaltest"
)

func TestTokenRevokeAsksOnATerminal(t *testing.T) {
	const question = "Revoke token stacks for good, and deregister 2 runners that came by it? [y/N] "
	for answer, revoked := range map[string]bool{"n\n": false, "\n": false, "yes\n": true} {
		f := swarm()
		person, program := terminaltest.Open(t)
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
