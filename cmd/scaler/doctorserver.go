package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// noRunner is the id of a runner that no server has: what may be done to a
// runner is tried on it. Ids count up from 1.
const noRunner = math.MaxInt64

// checkServer asks which server it is, and whether Actions are on.
func (e *exam) checkServer(ctx context.Context, r *doctor.Report) {
	s, err := e.gitea.Probe(ctx)
	tellServer(r, s, err)
}

// tellServer reports what a probe found.
func tellServer(r *doctor.Report, s gitea.Server, err error) {
	product := s.Product()
	switch {
	case err != nil && s.Version == "":
		r.Fail("version", err.Error(), "see that gitea.url is Gitea's own base URL, as a browser shows it before the first page's name")
	case err != nil:
		r.Fail("Actions", err.Error(), fmt.Sprintf("write ENABLED = true into the section [actions] of app.ini and restart %s, or let the proxy pass /api/actions on", product))
	default:
		r.OK("version", "%s %s, with Actions", product, s.Version)
	}
}

// checkCapabilities says of each thing that makes a difference whether the server
// can do it, and otherwise what that costs and what takes its place.
func (e *exam) checkCapabilities(ctx context.Context, r *doctor.Report) {
	caps, err := e.gitea.Capabilities(ctx)
	if err != nil {
		r.Fail("what it can do", err.Error(), "repeat this; if it stays, see the server's log")
		return
	}
	for _, f := range plan.Features() {
		if f.Cost != "" && caps.Has(f.Capability) {
			r.OK(f.What, "yes")
		}
	}
	tellMissing(r, caps, e.cfg.Webhook != nil)
}

// tellMissing reports what a server cannot do. What an upgrade or a webhook
// mends is a warning.
func tellMissing(r *doctor.Report, caps plan.Capabilities, webhook bool) {
	for _, f := range caps.Missing() {
		detail := fmt.Sprintf("no: %s. Instead: %s", f.Cost, f.Instead)
		since := f.Since(caps.Product)
		if since == "" {
			r.Skip(f.What, "%s (no release of %s can)", detail, caps.Product)
			continue
		}
		remedy := fmt.Sprintf("upgrade to %s %s or newer", caps.Product, since)
		if f.Capability == plan.CanListJobs && !webhook {
			remedy += "; until then " + insteadOfJobs(caps)
		}
		r.Warn(f.What, detail, remedy)
	}
}

// insteadOfJobs says what to set where the server does not list jobs.
func insteadOfJobs(caps plan.Capabilities) string {
	if caps.JobEvents {
		return "set webhook in the configuration and run scaler webhook create: its events tell which jobs wait; without it each pool keeps a runner ready all the time"
	}
	return "set webhook in the configuration and run scaler webhook create: then each pool keeps a runner ready only for a while after something was pushed; without it all the time"
}

// checkScope tries all that the API token has to be allowed at a scope, as far as
// the server can do it. Nothing is changed by it.
func checkScope(ctx context.Context, r *doctor.Report, client *gitea.Client, scope plan.Scope, hooks bool) {
	remedy := fmt.Sprintf("under Settings > Applications of the server, make a token that has %s; put it in the place of the one that gitea.api_token names", gitea.PermissionAdvice(scope))
	caps, err := client.Capabilities(ctx)
	if err != nil {
		r.Fail("API token for "+scope.String(), err.Error(), "repeat this; if it stays, see the server's log")
		return
	}
	for _, try := range permissionTries(ctx, client, scope, caps) {
		good, err := try.do()
		if errors.Is(err, plan.ErrUnsupported) && try.spare {
			r.Skip(try.what+" of "+scope.String(), "%v", err)
			continue
		}
		if !tellPermission(r, try.what+" of "+scope.String(), good, err, remedy) {
			return // the others would say the same
		}
	}
	if hooks {
		_, err := client.Hooks(ctx, scope)
		tellPermission(r, "webhooks of "+scope.String(), "allowed", err, remedy)
	}
}

// permissionTry is one thing that the API token has to be allowed.
type permissionTry struct {
	what  string
	spare bool // something takes its place where the server lacks it
	do    func() (good string, err error)
}

// permissionTries are those of a scope. Where the server lists neither runners nor
// jobs, the registration token is what shows that the scope is the token's.
func permissionTries(ctx context.Context, client *gitea.Client, scope plan.Scope, caps plan.Capabilities) []permissionTry {
	allowed := func(err error) (string, error) {
		if errors.Is(err, plan.ErrNotFound) {
			err = nil
		}
		return "allowed", err
	}
	var tries []permissionTry
	if !caps.Runners {
		tries = append(tries, permissionTry{"registration token", false, func() (string, error) {
			_, err := client.MintToken(ctx, scope)
			return "allowed", err
		}})
	} else {
		tries = append(tries, permissionTry{"list runners", true, func() (string, error) {
			list, err := client.Runners(ctx, scope)
			return fmt.Sprintf("%d there now", len(list.Runners)), err
		}})
	}
	if caps.Jobs {
		tries = append(tries, permissionTry{"list jobs", true, func() (string, error) {
			_, err := client.QueuedJobs(ctx, scope, 1, nil)
			return "allowed", err
		}})
	}
	if caps.Delete {
		tries = append(tries, permissionTry{"delete runners", true, func() (string, error) { return allowed(client.DeleteRunner(ctx, scope, noRunner)) }})
	}
	if caps.Disable {
		tries = append(tries, permissionTry{"disable runners", true, func() (string, error) {
			return allowed(client.SetRunnerDisabled(ctx, scope, noRunner, true))
		}})
	}
	return tries
}
