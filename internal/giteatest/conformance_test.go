package giteatest_test

import (
	"net/http"
	"testing"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/realgitea"
)

// target is a server that the checks run against.
type target interface {
	// profile says which release it is.
	profile() giteatest.Profile
	// base is its URL without a final slash.
	base() string
	// registrationToken is the instance's.
	registrationToken() string
	// apiToken is a site admin's, with all scopes.
	apiToken() string
	// addJobs queues n jobs with those labels and returns their repository,
	// "owner/name", and their ids, which are not known of a server that does not
	// list jobs in Gitea's way. The repository is new.
	addJobs(t *testing.T, n int, labels ...string) (repo string, ids []int64)
	// resetUserToken resets the registration token of the admin's own scope,
	// as one does on a page.
	resetUserToken(t *testing.T)
	// cancel cancels the first job of addJobs, as one does on its page.
	cancel(t *testing.T, repo string, ids []int64)
	// limitedToken returns an API token that has that scope only.
	limitedToken(t *testing.T, scope string) string
}

// checks are what the releases must do. They share a server, so each uses
// labels of its own.
var checks = []struct {
	name string
	of   span // the releases that it holds for
	run  func(t *testing.T, c client)
}{
	{"version is served without a token", every, checkVersion},
	{"ping greets", every, checkPing},
	{"unknown call is 404 in plain text", every, checkUnknownCall},
	{"wrong registration token is refused", every, checkBadToken},
	{"missing name is refused", every, checkMissingName},
	{"invalidated registration token is refused", every, checkInvalidatedToken},
	{"register returns an identity", every, checkRegister},
	{"register in protobuf", every, checkRegisterProto},
	{"register twice makes two runners", every, checkRegisterTwice},
	{"long name is cut", every, checkLongName},
	{"ephemeral runners", either(gitea(24), forgejo(15)), checkEphemeralRegister},
	{"ephemeral is ignored", either(gitea(22, 23), forgejo(7, 14)), checkNoEphemeral},
	{"new runner is offline until declare", runnersListed, checkOffline},
	{"declare answers the labels", every, checkDeclare},
	{"declare overwrites labels", runnersListed, checkDeclared},
	{"unknown runner is unregistered", every, checkUnregistered},
	{"deleted runner is unregistered", runnersListed, checkDeletedRunner},
	{"wrong runner token is unregistered", every, checkWrongRunnerToken},
	{"list, get and delete a runner", runnersListed, checkRunners},
	{"no list of runners", either(gitea(22, 23), forgejo(7, 14)), checkNoRunners},
	{"missing runner is 404", runnersListed, checkMissingRunner},
	{"runner of another scope is 404", gitea(24), checkForeignRunner},
	{"patch without a value is 422", gitea(26), checkEmptyPatch},
	{"no patch", gitea(24, 25), checkNoPatch},
	{"runners may be filtered by disabled", gitea(26), checkDisabledFilter},
	{"disabled runner picks nothing until enabled", gitea(26), checkDisabled},
	{"job from queued to success", gitea(25), checkLifecycle},
	{"no list of jobs", either(gitea(22, 24), forgejo(7, 7)), checkNoJobs},
	{"job of another label is not picked", every, checkLabels},
	{"no version change, no search for jobs", every, checkVersionGate},
	{"status may repeat", gitea(25), checkStatusRepeated},
	{"unknown status is 400", gitea(25), checkBadStatus},
	{"page is capped at 50", gitea(25), checkPageCap},
	{"lists of jobs have no header of pages", gitea(25, 25), checkNoPages},
	{"lists of jobs have headers of pages", gitea(26), checkPages},
	{"jobs are listed by their ids", gitea(27), checkJobOrder},
	{"ephemeral runner goes with its job", either(gitea(24), forgejo(15)), checkEphemeral},
	{"ephemeral runner goes when its job is cancelled", either(gitea(24), forgejo(15)), checkEphemeralCancel},
	{"runner learns of a cancelled job", every, checkPersistentCancel},
	{"busy only from the first report", runnersListed, checkBusy},
	{"delete does not ask whether a runner is busy", runnersListed, checkDeleteBusy},
	{"report on another runner's task is refused", either(gitea(23), forgejo(11)), checkForeignTask},
	{"report on another runner's task is taken", either(gitea(22, 22), forgejo(7, 7)), checkForeignTaken},
	{"log is acknowledged only where it continues", every, checkLog},
	{"without an API token 401", every, checkNoAPIToken},
	{"wrong API token 401", every, checkWrongAPIToken},
	{"weak API token 403", every, checkWeakAPIToken},
	{"unknown organisation and repository 404", every, checkUnknownViews},
	{"minting by GET returns the token in use", either(gitea(22, 25), forgejo(7)), checkMintByGet},
	{"minting by POST returns the token in use", gitea(24), checkMintByPost},
	{"no minting by the other method", either(gitea(22, 23), gitea(26), forgejo(7)), checkNoMint},
	{"runner of a repository takes its jobs only", every, checkRepoScope},
	{"tasks are the jobs that were picked", either(gitea(23), forgejo(11)), checkTasks},
	{"unknown event of a webhook is dropped", every, checkUnknownEvent},
	{"unknown path and method", every, checkUnknownRoutes},

	{"queue has what waits and runs", forgejo(11), checkQueue},
	{"queue is empty without labels", forgejo(11, 13), checkQueueLabelled},
	{"queue is full without labels", forgejo(14), checkQueueAll},
	{"jobs have handles", forgejo(15), checkHandles},
	{"job without runs-on", every, checkEmptyRunsOn},
	{"make a runner without a registration token", forgejo(15), checkCreate},
	{"administrator's list has the instance's runners", forgejo(15), checkAdminList},
	{"runner asks for one job", forgejo(15), checkSingle},
	{"request that is sent again gets its task again", forgejo(15), checkRecover},
}

// TestConformance runs the checks against the in-memory server as each release
// and against the real servers that the environment names, so that the first
// cannot drift from the second.
//
// SCALER_SERVER_BINS names real servers as PROFILE=BINARY[,STATIC], separated
// by spaces. SCALER_GITEA_BIN names a Gitea of the release that the zero
// profile is, and SCALER_GITEA_STATIC the directory of its templates and
// options, for a binary without them inside.
func TestConformance(t *testing.T) {
	for _, p := range giteatest.Profiles() {
		t.Run("fake/"+p.String(), func(t *testing.T) { runChecks(t, newFakeTarget(t, p)) })
	}
	t.Run("gitea", func(t *testing.T) { runChecks(t, newGiteaTarget(t)) })
	t.Run("real", func(t *testing.T) {
		for _, b := range realgitea.Binaries(t) {
			t.Run(b.Profile, func(t *testing.T) { runChecks(t, startTarget(t, b, mustProfile(t, b.Profile))) })
		}
	})
}

// runChecks runs those of the table that hold for the target.
func runChecks(t *testing.T, target target) {
	r := releaseOf(target.profile())
	for _, check := range checks {
		if check.of(r) {
			t.Run(check.name, func(t *testing.T) { check.run(t, client{target, &http.Client{Timeout: callTimeout}}) })
		}
	}
}
