package giteatest_test

import (
	"net/http"
	"testing"
)

// target is a server that the checks run against.
type target interface {
	// base is its URL without a final slash.
	base() string
	// registrationToken is the instance's.
	registrationToken() string
	// apiToken is a site admin's, with all scopes.
	apiToken() string
	// addJobs queues n jobs with those labels and returns their repository,
	// "owner/name", and their ids. The repository is new.
	addJobs(t *testing.T, n int, labels ...string) (repo string, ids []int64)
	// resetUserToken resets the registration token of the admin's own scope,
	// as one does on a page.
	resetUserToken(t *testing.T)
	// cancel cancels a job, as one does on its page.
	cancel(t *testing.T, j jobView)
	// limitedToken returns an API token that has that scope only.
	limitedToken(t *testing.T, scope string) string
}

// checks are what every server of the targets must do. They share a server,
// so each uses labels of its own.
var checks = []struct {
	name string
	run  func(t *testing.T, c client)
}{
	{"version is served without a token", checkVersion},
	{"ping greets", checkPing},
	{"unknown call is 404 in plain text", checkUnknownCall},
	{"wrong registration token is 500", checkBadToken},
	{"missing name is 500", checkMissingName},
	{"invalidated registration token is 500", checkInvalidatedToken},
	{"register returns an identity", checkRegister},
	{"register in protobuf", checkRegisterProto},
	{"register twice makes two runners", checkRegisterTwice},
	{"long name is cut", checkLongName},
	{"new runner is offline until declare", checkOffline},
	{"declare overwrites labels", checkDeclare},
	{"unknown runner is unregistered", checkUnregistered},
	{"wrong runner token is unregistered", checkWrongRunnerToken},
	{"list, get and delete a runner", checkRunners},
	{"missing runner is 404", checkMissingRunner},
	{"patch without a value is 422", checkEmptyPatch},
	{"runners may be filtered by disabled", checkDisabledFilter},
	{"disabled runner picks nothing until enabled", checkDisabled},
	{"job from queued to success", checkLifecycle},
	{"job of another label is not picked", checkLabels},
	{"no version change, no search for jobs", checkVersionGate},
	{"status may repeat", checkStatusRepeated},
	{"unknown status is 400", checkBadStatus},
	{"page is capped at 50", checkPageCap},
	{"ephemeral runner goes with its job", checkEphemeral},
	{"ephemeral runner goes when its job is cancelled", checkEphemeralCancel},
	{"persistent runner learns of a cancelled job", checkPersistentCancel},
	{"busy only from the first report", checkBusy},
	{"delete does not ask whether a runner is busy", checkDeleteBusy},
	{"report on another runner's task is refused", checkForeignTask},
	{"log is acknowledged only where it continues", checkLog},
	{"without an API token 401", checkNoAPIToken},
	{"wrong API token 401", checkWrongAPIToken},
	{"weak API token 403", checkWeakAPIToken},
	{"unknown organisation and repository 404", checkUnknownViews},
	{"minting returns the token in use", checkMint},
	{"runner of a repository takes its jobs only", checkRepoScope},
	{"unknown path and method", checkUnknownRoutes},
}

// TestConformance runs the checks against the in-memory server and, where
// SCALER_GITEA_BIN names a Gitea binary, against that, so that the first
// cannot drift from the second. SCALER_GITEA_STATIC may name the directory of
// Gitea's templates and options, for a binary without them inside.
func TestConformance(t *testing.T) {
	t.Run("fake", func(t *testing.T) { runChecks(t, newFakeTarget(t)) })
	t.Run("gitea", func(t *testing.T) { runChecks(t, newGiteaTarget(t)) })
}

// runChecks runs the table.
func runChecks(t *testing.T, target target) {
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) { check.run(t, client{target, &http.Client{Timeout: callTimeout}}) })
	}
}
