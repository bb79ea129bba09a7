package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// What clocks may differ by before it is told, and before it is a fault. The
// server's is read to the second.
const (
	clockGood = 5 * time.Second
	clockBad  = 5 * time.Minute
)

// certificateSoon is how long before its end a certificate is worth a word.
const certificateSoon = 14 * 24 * time.Hour

// giteaChecks look at the server, and at what the API token may do there.
func (e *exam) giteaChecks() []doctor.Check {
	list := []doctor.Check{
		{ID: "gitea.way", Group: groupGitea, Subject: e.cfg.Gitea.InternalURL, Timeout: e.cfg.Gitea.RequestTimeout + shortCheck, Run: e.checkGiteaWay},
		{ID: "gitea.server", Group: groupGitea, Subject: "version", Needs: []string{"gitea.way"}, Timeout: longCheck, Run: e.checkServer},
		{ID: "gitea.can", Group: groupGitea, Subject: "what it can do", Needs: []string{"gitea.server"}, Timeout: longCheck, Run: e.checkCapabilities},
	}
	seen := map[plan.Scope]bool{}
	for _, t := range e.cfg.RegistrationTokens {
		id := "gitea.scope." + t.Scope.String()
		if !seen[t.Scope] {
			seen[t.Scope] = true
			list = append(list, doctor.Check{ID: id, Group: groupGitea, Subject: "API token for " + t.Scope.String(), Needs: []string{"gitea.server"}, Timeout: longCheck,
				Run: func(ctx context.Context, r *doctor.Report) {
					checkScope(ctx, r, e.gitea, t.Scope, e.cfg.Webhook != nil)
				}})
		}
		list = append(list, doctor.Check{ID: "gitea.token." + t.Name, Group: groupGitea, Subject: "registration token " + t.Name, Needs: []string{id}, Timeout: longCheck,
			Run: func(ctx context.Context, r *doctor.Report) { e.checkToken(ctx, r, t) }})
	}
	return list
}

// checkGiteaWay tells name, connection, TLS and answer apart.
func (e *exam) checkGiteaWay(ctx context.Context, r *doctor.Report) {
	transport, err := gitea.NewTransport(giteaOptions(e.cfg, nil))
	if err != nil {
		r.Fail(e.cfg.Gitea.InternalURL, err.Error(), "correct gitea.tls")
		return
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Gitea.RequestTimeout)
	defer cancel()
	found := tryWay(ctx, transport, e.cfg.Gitea.InternalURL)
	tellWay(r, found, urlKey(e.cfg))
	if found.Step == "" {
		tellClock(r, "clock of Gitea's host", found.Server, found.Asked, "on whichever is wrong, run timedatectl set-ntp true")
	}
}

// urlKey is the key that says where the daemon reaches Gitea.
func urlKey(cfg *config.Config) string {
	if cfg.Gitea.InternalURL != cfg.Gitea.URL {
		return "gitea.internal_url"
	}
	return "gitea.url"
}

// tellWay reports each part of a way up to where it ends.
func tellWay(r *doctor.Report, w wayFound, key string) {
	u, err := url.Parse(w.URL)
	if err != nil {
		r.Fail(w.URL, "it is no URL", "correct "+key)
		return
	}
	host, target := u.Hostname(), u.Host
	if w.Proxy != "" {
		target = "proxy " + w.Proxy
		host, _, _ = strings.Cut(w.Proxy, ":")
	}
	steps := []struct{ step, subject, good string }{
		{stepName, "name " + host, "it stands for " + strings.Join(w.Addresses, ", ")},
		{stepConnect, "connection to " + target, "made to " + w.Remote},
		{stepTLS, "TLS with " + u.Host, w.TLS},
		{stepAnswer, "answer of " + w.URL, fmt.Sprintf("HTTP %d", w.Status)},
	}
	for _, s := range steps {
		if s.step == w.Step {
			r.Fail(s.subject, w.Error, remedyOfStep(w, host, key))
			return
		}
		asked := s.step != stepName || len(w.Addresses) > 0 && net.ParseIP(host) == nil
		if s.step == stepTLS {
			asked = w.TLS != ""
		}
		if !asked {
			continue
		}
		if left := time.Until(w.Expires); s.step == stepTLS && left < certificateSoon {
			r.Warn(s.subject, fmt.Sprintf("the certificate ends in %s, at %s", age(left), clock(w.Expires)), "renew it before")
			continue
		}
		r.OK(s.subject, "%s", s.good)
	}
}

// remedyOfStep says what to do about a way to Gitea that ends.
func remedyOfStep(w wayFound, host, key string) string {
	switch w.Wrong {
	case wrongName:
		return fmt.Sprintf("correct the name in %s, or make it known: getent hosts %s shows what it stands for", key, host)
	case wrongPort:
		return fmt.Sprintf("start Gitea, or correct the port in %s: nothing listens there", key)
	case wrongSilence, wrongRoute:
		return fmt.Sprintf("open the way to %s: a firewall drops it, or the address is wrong; curl -v %s/api/v1/version tries the same", host, w.URL)
	case wrongCert:
		return "write the PEM file of the authority that signed the certificate into gitea.tls.ca_file; if the certificate has ended or is for another name, renew it"
	case wrongProtocol:
		return fmt.Sprintf("write http:// in place of https:// in %s, or the other way round: the port speaks the other one", key)
	}
	return fmt.Sprintf("correct %s, or what stands between; curl -v %s/api/v1/version tries the same", key, w.URL)
}

// tellClock compares another clock with ours.
func tellClock(r *doctor.Report, subject string, theirs, ours time.Time, remedy string) {
	if theirs.IsZero() {
		r.Skip(subject, "it does not say the time")
		return
	}
	off := theirs.Sub(ours).Round(time.Second)
	text, word := off.Abs().String(), "ahead of"
	if off < 0 {
		word = "behind"
	}
	switch {
	case off.Abs() >= clockBad:
		r.Fail(subject, fmt.Sprintf("it is %s %s this one", text, word), remedy)
	case off.Abs() > clockGood:
		r.Warn(subject, fmt.Sprintf("it is %s %s this one, so times that are shown are wrong", text, word), remedy)
	default:
		r.OK(subject, "it agrees with this one")
	}
}

// tellPermission reports how a try has ended.
func tellPermission(r *doctor.Report, subject, good string, err error, remedy string) bool {
	switch {
	case err == nil:
		r.OK(subject, "%s", good)
		return true
	case errors.Is(err, plan.ErrUnsupported):
		remedy = "see docs/compatibility.md for what each release can do"
	case errors.Is(err, plan.ErrNotFound):
		remedy = "correct the scope in registration_tokens, or use a token of a user who owns it"
	case !errors.Is(err, plan.ErrDenied):
		remedy = "repeat this; if it stays, see Gitea's log"
	}
	r.Fail(subject, err.Error(), remedy)
	return false
}

// checkToken says whether a registration token is the scope's active one. Gitea
// has one for each scope, and its API gives it out (models/actions,
// NewRunnerTokenWithValue).
func (e *exam) checkToken(ctx context.Context, r *doctor.Report, t config.RegistrationToken) {
	subject := "registration token " + t.Name
	if !t.Enabled {
		r.Skip(subject, "it is disabled in the configuration")
		return
	}
	if caps, err := e.gitea.Capabilities(ctx); err == nil && caps.Create && t.Mint {
		r.OK(subject, "none is needed: the API token makes the runners of %s", t.Scope)
		return
	}
	active, err := e.gitea.MintToken(ctx, t.Scope)
	if t.Mint {
		tellPermission(r, subject, "Gitea gives it out for "+t.Scope.String(), err,
			"let the API token have "+gitea.PermissionAdvice(t.Scope)+"; or copy the token from Gitea's page into a file and write token: {file: PATH} in place of mint: true")
		return
	}
	if err != nil {
		r.Skip(subject, "whether Gitea accepts it is not known before it is used, for which there is --job (%s)", err)
		return
	}
	value, err := t.Token.Read()
	if err != nil {
		r.Fail(subject, err.Error(), "put the token there")
		return
	}
	if value != active {
		r.Fail(subject, fmt.Sprintf("it is not the active registration token of %s: it was reset in Gitea since, or belongs to another scope", t.Scope),
			fmt.Sprintf("copy the one that %s shows under Actions > Runners > Create new Runner to %s; or write mint: true in its place, and scaler asks for it", runnersPage(e.cfg.Gitea.URL, t.Scope), t.Token))
		return
	}
	r.OK(subject, "it is the active one of %s", t.Scope)
}

// runnersPage is where Gitea shows the registration token of a scope to people.
func runnersPage(base string, scope plan.Scope) string {
	path := strings.TrimSuffix(hookPage(base, scope, 0), "/hooks/0")
	return path + "/actions/runners"
}
