package gitea

import (
	"context"

	"scaler.io/scaler/internal/plan"
)

// The kinds of request, as Options.Observe names them.
const (
	KindVersion    = "version"
	KindMethods    = "methods"
	KindPing       = "ping"
	KindLogin      = "login"
	KindQueued     = "jobs_queued"
	KindFinished   = "jobs_finished"
	KindRunning    = "jobs_running"
	KindRunners    = "runners"
	KindRunner     = "runner"
	KindDisable    = "runner_disable"
	KindDelete     = "runner_delete"
	KindMint       = "token_mint"
	KindRegister   = "register"
	KindDeregister = "deregister"
	KindWithdraw   = "withdraw"
	KindVerify     = "verify"
	KindHooks      = "hooks"
	KindHook       = "hook"
	KindHookCreate = "hook_create"
	KindHookEdit   = "hook_edit"
	KindHookDelete = "hook_delete"
	KindHookTest   = "hook_test"
	KindAccount    = "account"
	KindTokenMake  = "api_token_make"
	KindRepo       = "repository"
	KindCreate     = "runner_create"
)

// call is one operation. It travels in the context of its requests, so that
// the retry policy knows what it looks at, and brings the last answer back:
// the SDK hides the status, the type and the body of the answers that it does
// not understand.
type call struct {
	kind string
	what string // the operation and its object, for errors
	// repeat is true if the request may be sent again when no answer came, or
	// one of 429 or 5xx.
	repeat bool
	// runner is true if the operation is about one runner, or one webhook.
	runner bool
	scope  plan.Scope
	// access is what it asks of the API token.
	access access
	// needs is what the server must be able to do for it, "" if all can.
	needs plan.Capability

	answer answer
}

// answer is what came back last.
type answer struct {
	status      int // 0 if there was none
	contentType string
	retryAfter  string
	body        []byte
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call of a request's context. A context without one gets
// a call that is never repeated.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{kind: "other"}
}
