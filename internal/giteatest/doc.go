// Package giteatest is an in-memory Gitea Actions server that speaks the real
// protocol: the Connect calls of runners, the REST calls of administrators and
// the workflow_job webhook.
//
// It serves tests, the demo and "scaler fake-gitea". Its value is that it has
// the traps of the real server and not only its features: a wrong registration
// token is HTTP 500, a page never exceeds 50 entries, jobs come in no useful
// order, DELETE does not care whether a runner is busy, an ephemeral runner
// vanishes with its job, and a runner that lost a race for a job does not ask
// again until something else happens. A Profile says of which release they
// are. The invariant that it protects: whatever works against this package
// works against Gitea. The table of conformance checks in its tests runs
// against both.
//
// A Server starts goroutines for webhook deliveries and for the requests of its
// in-memory Client, and none that outlives them. It takes the time from
// Options.Now; only Fault.Latency and Options.HookDelay are waited for in
// earnest. Rules that depend on time (offline after a minute, the zombie sweep)
// are applied when something looks.
package giteatest
