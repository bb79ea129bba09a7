package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/webhook"
)

// remedyOfSecret is for a daemon with another secret than this command.
const remedyOfSecret = "the daemon reads another secret than this command: see that webhook.secret means the same to both, " +
	"also where it is in the environment or a credential, and restart the daemon if webhook.secret itself was changed"

const remedyOfHook = "the webhook in Gitea has another secret or none: run scaler webhook create --replace"

// remedies are what to do when the daemon refuses what Gitea delivers.
var remedies = map[webhook.Reason]string{
	webhook.ReasonUnsigned:  remedyOfHook,
	webhook.ReasonSignature: remedyOfHook,
	webhook.ReasonSize:      "see that nothing between Gitea and the daemon changes the body",
	webhook.ReasonBody:      "see that nothing between Gitea and the daemon holds the body up",
	webhook.ReasonSecret:    "the daemon cannot read webhook.secret: its log says why",
	webhook.ReasonBusy:      "too many requests at once reach the daemon: let only Gitea reach it",
}

// brief is an error without what the line before it says.
func brief(err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "ping webhook: ")
}

// remedyOfWay says what to do when a test event does not get through to the
// public URL.
func remedyOfWay(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	status, answered := errors.AsType[*webhook.StatusError](err)
	switch {
	case errors.Is(err, webhook.ErrSignature):
		return "the daemon there has another secret, or is another one: " + remedyOfSecret
	case errors.Is(err, webhook.ErrNoReceiver):
		return "correct webhook.public_url, or where its proxy leads to: something else answers"
	case answered:
		return remedyOfStatus(status)
	case dns:
		return "correct the name in webhook.public_url, or make it known; Gitea has to be able to look it up too"
	case cert:
		return "let the certificate be one that this host and Gitea trust: one for the name in webhook.public_url, not expired, of a known authority"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "write http and not https in webhook.public_url: the listener speaks plain HTTP unless a proxy is before it"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "correct the port in webhook.public_url, or let the daemon or its proxy listen there"
	case isNet && timeout.Timeout(), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "open the way to webhook.public_url: a firewall drops it, or the address is wrong"
	}
	return "correct webhook.public_url, or what stands between"
}

func remedyOfStatus(status *webhook.StatusError) string {
	switch {
	case status.Location != "":
		return "write in webhook.public_url what it redirects to: not every redirect carries a body on"
	case status.Status == http.StatusNotFound, status.Status == http.StatusMethodNotAllowed:
		return "correct webhook.path or webhook.public_url; a proxy has to pass the path on as it is after public_url"
	case status.Status == http.StatusRequestEntityTooLarge:
		return "let the proxy pass on bodies of up to 1 MiB"
	case status.Status == http.StatusServiceUnavailable:
		return "see the daemon's log: it may be unable to read webhook.secret; or its proxy does not reach it"
	case status.Status >= http.StatusInternalServerError:
		return "the proxy does not reach the daemon: see that it runs, and where the proxy leads to"
	}
	return "see what answers at webhook.public_url"
}

// remedyOfSilence says what can keep Gitea from delivering, the likeliest first.
func (t *webhookTest) remedyOfSilence(ctx context.Context, scope plan.Scope, id int64) string {
	var todo []string
	public, err := url.Parse(t.url)
	if err != nil {
		return ""
	}
	host := public.Hostname()
	if inner, loopback := innerAddress(ctx, host); inner.IsValid() {
		todo = append(todo, fmt.Sprintf("Gitea sends to public addresses only unless it is told otherwise, and %s is %s: "+
			"write ALLOWED_HOST_LIST = external, %s in the section [webhook] of its app.ini and restart it", host, inner, host))
		if loopback {
			todo = append(todo, "if Gitea is on another host or in a container, that address is its own: write one in webhook.public_url at which it reaches this host")
		}
	}
	if public.Scheme == "https" {
		todo = append(todo, "see that Gitea trusts the certificate of "+host+" (SKIP_TLS_VERIFY in [webhook] would have it trust any)")
	}
	todo = append(todo, "see that Gitea's host can look "+host+" up and that no firewall is between",
		"the error stands under Recent Deliveries on "+hookPage(t.cfg.Gitea.URL, scope, id))
	return strings.Join(todo, "; ")
}

// innerAddress returns the first address of the host that Gitea does not send
// to by default (its modules/hostmatcher, "external"), or the zero Addr.
func innerAddress(ctx context.Context, host string) (addr netip.Addr, loopback bool) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range addrs {
		if a = a.Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() {
			return a, a.IsLoopback()
		}
	}
	return netip.Addr{}, false
}

// hookPage is where Gitea shows a webhook to people.
func hookPage(base string, scope plan.Scope, id int64) string {
	path := "-/admin"
	switch scope.Kind {
	case plan.ScopeOrg:
		path = "org/" + scope.Owner + "/settings"
	case plan.ScopeUser:
		path = "user/settings"
	case plan.ScopeRepo:
		path = scope.Owner + "/" + scope.Repo + "/settings"
	}
	return fmt.Sprintf("%s/%s/hooks/%d", base, path, id)
}
