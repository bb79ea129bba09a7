package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
)

// refusalKind says in what way a runner's call was not served; what answers
// the runner makes a code of its protocol from it.
type refusalKind int

// The kinds of a refusal.
const (
	kindUnauthenticated refusalKind = iota + 1 // the token, or the proof, is not good
	kindForbidden                              // it is good, and not for this
	kindInvalid                                // the request cannot be meant
	kindLimited                                // too many; after refusal.retryAfter it may be repeated
	kindUnavailable                            // not the runner's fault; it may be repeated
	kindBusy                                   // not while the runner has a job
)

// refusal is the error of a call that was not served. Its text is meant for
// who runs the runner: it holds no secret, and nothing of what is behind the
// gateway.
type refusal struct {
	kind       refusalKind
	reason     string // one word, by which refusals are counted
	message    string
	retryAfter time.Duration // of kindLimited
	cause      error         // for errors.Is; not part of the text
}

// Error implements error.
func (r *refusal) Error() string { return r.message }

// Unwrap returns the cause, whose text is not meant for the runner.
func (r *refusal) Unwrap() error { return r.cause }

// deny returns a refusal without a cause.
func deny(kind refusalKind, reason, format string, args ...any) *refusal {
	return &refusal{kind: kind, reason: reason, message: fmt.Sprintf(format, args...)}
}

// checkState refuses a token that cannot be used now.
func checkState(t plan.Token, now time.Time) *refusal {
	state, what := t.State(now), ""
	switch state {
	case plan.TokenActive:
		return nil
	case plan.TokenDisabled:
		what = "is disabled"
	case plan.TokenUsed:
		what = "is used up"
	case plan.TokenExpired:
		what = "has expired"
	default:
		what = "was revoked"
	}
	return deny(kindUnauthenticated, string(state), "registration token %s %s; ask for another one", t.Name, what)
}

// checkSource refuses an address that the token is not accepted from.
func checkSource(t plan.Token, addr netip.Addr) *refusal {
	addr = addr.Unmap().WithZone("")
	if len(t.Sources) == 0 || slices.ContainsFunc(t.Sources, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	return deny(kindForbidden, "source", "registration token %s is not accepted from %s", t.Name, addr)
}

// checkName refuses a runner that the token is not bound to, and one without
// a name, which the server would refuse.
func checkName(t plan.Token, name string) *refusal {
	switch {
	case t.Runner != "" && name != t.Runner:
		return deny(kindForbidden, "runner", "registration token %s is for another runner", t.Name)
	case name == "":
		return deny(kindInvalid, "name", "a runner needs a name to be registered")
	}
	return nil
}

// checkLabels refuses labels whose names are not among the allowed ones; no
// allowed ones mean that all are.
func checkLabels(token string, allowed, labels []string) *refusal {
	if len(allowed) == 0 {
		return nil
	}
	for _, l := range labels {
		if name := labelName(l); !slices.Contains(allowed, name) {
			return deny(kindForbidden, "labels", "registration token %s does not allow the label %q; it allows %s",
				token, clip(name), clip(strings.Join(allowed, ", ")))
		}
	}
	return nil
}

// requested lists all labels of a request, those of old runners included.
func requested(req *runnerv1.RegisterRequest) []string {
	//lint:ignore SA1019 what a server may read has to be checked
	return slices.Concat(req.GetLabels(), req.GetAgentLabels(), req.GetCustomLabels())
}

// labelName is what the server matches of a label.
func labelName(label string) string {
	name, _, _ := strings.Cut(label, ":")
	return name
}

// clip makes a foreign text fit to be part of a message: one line, not long,
// nothing unprintable.
func clip(s string) string {
	const longest = 100
	runes := []rune(strings.ToValidUTF8(s, "?"))
	if len(runes) > longest {
		runes = append(runes[:longest], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	return strings.TrimSpace(string(runes))
}
